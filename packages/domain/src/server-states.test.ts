import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { taskStates, vmStates } from './server.ts';
import {
  actionRules,
  allowedActions,
  type CallerFacts,
  checkAction,
  type ServerFacts,
  serverActions,
  serverStatus,
  serverStatuses,
  statesOfStatus,
} from './server-states.ts';

const server = (change: Partial<ServerFacts> = {}): ServerFacts => ({
  id: 'S',
  projectId: 'p1',
  vmState: 'active',
  taskState: null,
  locked: false,
  hypervisorType: 'QEMU',
  ...change,
});
const admin: CallerFacts = { projectId: 'p0', roles: ['admin', 'member', 'reader'], isAdmin: true };
const member: CallerFacts = { projectId: 'p1', roles: ['member', 'reader'], isAdmin: false };
const reader: CallerFacts = { projectId: 'p1', roles: ['reader'], isAdmin: false };
const stranger: CallerFacts = { projectId: 'p2', roles: ['member'], isAdmin: false };

const anyServer = fc.record({
  id: fc.uuid(),
  projectId: fc.constantFrom('p1', 'p2'),
  vmState: fc.constantFrom(...vmStates),
  taskState: fc.constantFrom(null, ...taskStates),
  locked: fc.boolean(),
  hypervisorType: fc.constantFrom('QEMU' as const, 'ironic' as const, null),
});
const anyCaller = fc.constantFrom(admin, member, reader, stranger);
const anyAction = fc.constantFrom(...serverActions);

describe('checkAction', () => {
  it('lets an admin live-migrate an active or paused server, with the words of the API otherwise', () => {
    expect(checkAction('live-migrate', server(), admin)).toEqual({ ok: true });
    expect(checkAction('live-migrate', server({ vmState: 'paused' }), admin)).toEqual({ ok: true });
    expect(checkAction('live-migrate', server({ vmState: 'stopped' }), admin)).toEqual({
      ok: false,
      code: 'InvalidState',
      message: "Cannot 'os-migrateLive' instance S while it is in vm_state stopped",
    });
    expect(checkAction('live-migrate', server({ taskState: 'migrating' }), admin)).toEqual({
      ok: false,
      code: 'InvalidState',
      message: "Cannot 'os-migrateLive' instance S while it is in task_state migrating",
    });
    expect(checkAction('live-migrate', server(), member)).toEqual({
      ok: false,
      code: 'Forbidden',
      message: "Policy doesn't allow os_compute_api:os-migrate-server:migrate_live to be performed.",
    });
  });
  it('says 404, not 403, of somebody else’s server', () => {
    expect(checkAction('live-migrate', server(), stranger)).toEqual({
      ok: false,
      code: 'ServerNotFound',
      message: 'Instance S could not be found.',
    });
  });
  it('never migrates bare metal, whatever its state', () => {
    for (const action of ['live-migrate', 'migrate'] as const) {
      expect(checkAction(action, server({ hypervisorType: 'ironic', vmState: 'error', taskState: 'deleting' }), admin)).toEqual({
        ok: false,
        code: 'BareMetalCannotMigrate',
        message: 'bare metal instances cannot be migrated',
      });
    }
  });
  it('refuses a locked server to its owner and not to an admin', () => {
    expect(checkAction('stop', server({ locked: true }), member)).toEqual({
      ok: false,
      code: 'ServerLocked',
      message: 'Instance S is locked',
    });
    expect(checkAction('stop', server({ locked: true }), admin)).toEqual({ ok: true });
    expect(checkAction('unlock', server({ locked: true }), member)).toEqual({ ok: true });
  });
  it('lets a reader only look', () => {
    expect(allowedActions(server(), reader)).toEqual(['show', 'topology', 'show-password']);
  });
  it('agrees with the table for every server, caller and action', () => {
    fc.assert(
      fc.property(anyServer, anyCaller, anyAction, (s, caller, action) => {
        const rule = actionRules[action];
        const verdict = checkAction(action, s, caller);
        const roleEnough =
          caller.isAdmin ||
          (rule.who !== 'admin' && (caller.roles.includes('member') || (rule.who === 'reader' && caller.roles.includes('reader'))));
        const legal =
          (caller.isAdmin || s.projectId === caller.projectId) &&
          roleEnough &&
          (rule.onBareMetal || s.hypervisorType !== 'ironic') &&
          (caller.isAdmin || !rule.refusedWhenLocked || !s.locked) &&
          (rule.vmStates === 'any' || rule.vmStates.includes(s.vmState)) &&
          (rule.taskStates === 'any' || rule.taskStates.includes(s.taskState));
        expect(verdict.ok).toBe(legal);
        if (!verdict.ok && verdict.code === 'InvalidState') expect(verdict.message).toContain(s.id);
      }),
      { numRuns: 2000 },
    );
  });
  it('gives a stranger no way to tell a server that exists', () => {
    fc.assert(
      fc.property(anyServer, anyAction, (s, action) => {
        const verdict = checkAction(action, { ...s, projectId: 'p1' }, stranger);
        expect(verdict).toEqual({ ok: false, code: 'ServerNotFound', message: `Instance ${s.id} could not be found.` });
      }),
    );
  });
});

describe('serverStatus', () => {
  it.each([
    ['active', null, 'ACTIVE'],
    ['active', 'migrating', 'MIGRATING'],
    ['paused', 'migrating', 'MIGRATING'],
    ['paused', null, 'PAUSED'],
    ['active', 'resize_prep', 'RESIZE'],
    ['stopped', null, 'SHUTOFF'],
    ['stopped', 'resize_migrating', 'RESIZE'],
    ['resized', null, 'VERIFY_RESIZE'],
    ['resized', 'resize_reverting', 'REVERT_RESIZE'],
    ['building', 'spawning', 'BUILD'],
    ['active', 'rebooting', 'REBOOT'],
    ['active', 'rebooting_hard', 'HARD_REBOOT'],
    ['error', null, 'ERROR'],
    ['deleted', null, 'DELETED'],
  ] as const)('%s + %s is %s', (vm, task, status) => expect(serverStatus(vm, task)).toBe(status));

  it('statesOfStatus partitions every state by its status', () => {
    const seen = serverStatuses.flatMap((status) =>
      statesOfStatus(status).flatMap((entry) =>
        entry.taskStates.map((task) => {
          expect(serverStatus(entry.vmState, task)).toBe(status);
          return `${entry.vmState}/${task}`;
        }),
      ),
    );
    expect(seen.length).toBe(vmStates.length * (taskStates.length + 1));
    expect(new Set(seen).size).toBe(seen.length);
  });
});
