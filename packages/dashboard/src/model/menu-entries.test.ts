import { taskStates, vmStates } from '@godwit/domain/server';
import { checkAction, type ServerFacts } from '@godwit/domain/server-states';
import { describe, expect, it } from 'vitest';
import { menuEntries, menuGroups, serverFacts } from './menu-entries.ts';

const admin = { projectId: 'p1', roles: ['admin'], isAdmin: true };
const member = { projectId: 'p1', roles: ['member'], isAdmin: false };
const server = (more: Partial<ServerFacts> = {}): ServerFacts => ({
  id: 's1',
  projectId: 'p1',
  vmState: 'active',
  taskState: null,
  locked: false,
  hypervisorType: 'QEMU',
  ...more,
});
const reasons = (facts: ServerFacts) =>
  new Map(
    menuEntries('admin', facts, admin)
      .flat()
      .map((entry) => [entry.label, entry.reason]),
  );

describe('the More menu', () => {
  it('disables exactly what the API would refuse, in every state', () => {
    for (const vmState of vmStates)
      for (const taskState of [null, ...taskStates])
        for (const hypervisorType of ['QEMU', 'ironic'] as const)
          for (const caller of [admin, member]) {
            const facts = server({ vmState, taskState, hypervisorType });
            for (const entry of menuEntries('admin', facts, caller).flat())
              expect(entry.reason === null, `${entry.action} in ${vmState}/${taskState}`).toBe(checkAction(entry.action, facts, caller).ok);
          }
  });

  it('says what is needed and what is', () => {
    const stopped = reasons(server({ vmState: 'stopped' }));
    expect(stopped.get('Live Migrate')).toBe('Needs status Active or Paused; this instance is Shutoff.');
    expect(stopped.get('Migrate')).toBeNull();
    const suspended = reasons(server({ vmState: 'suspended' }));
    expect(['Resume', 'Hard Reboot', 'Delete', 'Shelve'].map((label) => suspended.get(label))).toEqual([null, null, null, null]);
    expect(suspended.get('Live Migrate')).toBe('Needs status Active or Paused; this instance is Suspended.');
    expect(reasons(server({ taskState: 'migrating' })).get('Live Migrate')).toBe('Another task is in progress (migrating).');
    expect(reasons(server({ hypervisorType: 'ironic' })).get('Migrate')).toBe('Bare metal instances cannot be migrated.');
    expect(reasons(server()).get('Confirm Resize or Migrate')).toBe('Needs status Verify Resize; this instance is Active.');
  });

  it('offers no scaling where the flavor sets no maximum', () => {
    const shown = {
      id: 's1',
      tenant_id: 'p1',
      'OS-EXT-STS:vm_state': 'active',
      'OS-EXT-STS:task_state': null,
      locked: false,
    } as const;
    const of = (flavor: object) => reasons(serverFacts({ ...shown, flavor }, 'QEMU')).get('Scale');
    expect(of({ extra_specs: { 'godwit:storage': 'local' } })).toContain('sets no maximum');
    expect([of({ extra_specs: { 'godwit:max_vcpus': '4' } }), of({})]).toEqual([null, null]);
  });

  it('offers no choice of host in the project view', () => {
    const offered = menuGroups.project.flat();
    expect(offered).not.toContain('live-migrate');
    expect(offered).not.toContain('migrate');
    expect(offered).toContain('confirm-resize');
  });
});
