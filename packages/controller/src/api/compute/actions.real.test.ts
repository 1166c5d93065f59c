import { randomUUID } from 'node:crypto';
import { type TaskState, taskStates, type VmState, vmStates } from '@godwit/domain/server';
import { checkAction, type ServerAction } from '@godwit/domain/server-states';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { httpStatus } from '../http-status.ts';
import type { TestUser } from '../test-api.ts';
import { consoleText, startTestCloud, type TestCloud } from './test-cloud.ts';

let server: TestServer;
let cloud: TestCloud;
let member: TestUser;
beforeAll(async () => {
  server = await startTestServer();
  cloud = await startTestCloud((await server.database()).db);
  member = await cloud.user('member');
});
afterAll(async () => {
  await server.stop();
});

const base = '/compute/v2.1';
const act = (id: string, body: object, as: TestUser = cloud.admin, microversion = '2.1') =>
  cloud.call('POST', `${base}/servers/${id}/action`, { as, microversion, body });
const stateOf = (id: string) => cloud.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

describe('the table of states', () => {
  const bodies: readonly (readonly [ServerAction, object])[] = [
    ['start', { 'os-start': null }],
    ['stop', { 'os-stop': {} }],
    ['pause', { pause: null }],
    ['unpause', { unpause: 'x' }],
    ['reboot', { reboot: { type: 'SOFT' } }],
    ['reboot-hard', { reboot: { type: 'hard' } }],
    ['lock', { lock: null }],
    ['unlock', { unlock: null }],
    ['live-migrate', { 'os-migrateLive': { host: null, block_migration: false, disk_over_commit: false } }],
    ['migrate', { migrate: null }],
    ['resize', { resize: { flavorRef: 'f1' } }],
    ['confirm-resize', { confirmResize: {} }],
    ['revert-resize', { revertResize: null }],
    ['evacuate', { evacuate: { onSharedStorage: true } }],
    ['suspend', { suspend: null }],
    ['resume', { resume: null }],
    ['shelve', { shelve: null }],
    ['shelve-offload', { shelveOffload: {} }],
    ['unshelve', { unshelve: null }],
  ];
  it('is what the API obeys, for any state, caller and action; a refusal changes nothing', async () => {
    const reader = await cloud.user('reader', member.projectId);
    const stranger = await cloud.user('member');
    const id = await cloud.server(member);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...bodies),
        fc.constantFrom(...vmStates.filter((state) => state !== 'deleted')),
        fc.constantFrom(null, ...taskStates),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(cloud.admin, member, reader, stranger),
        async ([action, body], vmState: VmState, taskState: TaskState, locked, metal, as) => {
          await cloud.db
            .updateTable('server')
            .set({
              vm_state: vmState,
              task_state: taskState,
              locked,
              locked_by: locked ? 'owner' : null,
              host_id: metal ? cloud.hosts.metal1 : cloud.hosts.node1,
            })
            .where('id', '=', id)
            .execute();
          await cloud.db.deleteFrom('migration').execute();
          const before = await stateOf(id);
          const isAdmin = as === cloud.admin;
          const roles = isAdmin ? ['admin', 'member', 'reader'] : as === reader ? ['reader'] : ['member', 'reader'];
          const verdict = checkAction(
            action,
            { id, projectId: member.projectId, vmState, taskState, locked, hypervisorType: metal ? 'ironic' : 'QEMU' },
            { projectId: as.projectId, roles, isAdmin },
          );
          const answer = await act(id, body, as);
          if (!verdict.ok) {
            expect(answer.statusCode).toBe(httpStatus(verdict.code));
            expect(Object.values(answer.json<Record<string, { message: string }>>())[0]?.message).toBe(verdict.message);
          } else {
            // What the table lets through may still be refused for what it names or needs (hosts, records of a move, what is not offered), but not for its state.
            expect([202, 204, 400, 409, 501]).toContain(answer.statusCode);
            if (
              ![
                'live-migrate',
                'migrate',
                'resize',
                'confirm-resize',
                'revert-resize',
                'evacuate',
                'suspend',
                'shelve',
                'shelve-offload',
              ].includes(action)
            )
              expect(answer.statusCode).toBe(202);
            if (answer.statusCode === 409) expect(answer.body).not.toMatch(/while it is in|is locked|bare metal/);
          }
          if (answer.statusCode >= 300) expect(await stateOf(id)).toEqual(before);
        },
      ),
      { numRuns: 400 },
    );
    expect(cloud.unexpected).toEqual([]);
  });
});

describe('evacuate', () => {
  it('is refused while the host answers, or is only silent; its answer is 200', async () => {
    const id = await cloud.server(member);
    const host = (values: { reachable?: boolean; forced_down?: boolean; fenced_at?: Date | null }) =>
      cloud.db
        .updateTable('host')
        .set({ last_seen_at: new Date(0), ...values })
        .where('id', '=', cloud.hosts.node1)
        .execute();
    const message = (answer: { json: <T>() => T }) => Object.values(answer.json<Record<string, { message: string }>>())[0]?.message;
    const missing = await act(id, { evacuate: {} });
    expect([missing.statusCode, message(missing)]).toEqual([400, "'onSharedStorage' is a required property"]);
    expect((await act(id, { evacuate: { onSharedStorage: true } }, cloud.admin, '2.14')).statusCode).toBe(400);
    expect((await act(id, { evacuate: {} }, member, '2.14')).statusCode).toBe(403);
    const up = await act(id, { evacuate: {} }, cloud.admin, '2.14');
    expect([up.statusCode, message(up)]).toEqual([400, 'Compute service of node1 is still in use.']);
    await host({ reachable: false });
    const silent = await act(id, { evacuate: {} }, cloud.admin, '2.14');
    expect([silent.statusCode, message(silent)]).toEqual([409, expect.stringContaining('nobody has said that it is dead')]);
    expect((await stateOf(id)).task_state).toBeNull();
    // Forcing it down is the operator's word.
    await host({ forced_down: true });
    const unknown = await act(id, { evacuate: { host: 'nowhere' } }, cloud.admin, '2.29');
    expect([unknown.statusCode, message(unknown)]).toEqual([404, 'Compute host nowhere not found.']);
    expect((await act(id, { evacuate: { host: 'node1' } }, cloud.admin, '2.29')).statusCode).toBe(400);
    const fencedAt = async () =>
      (await cloud.db.selectFrom('host').select('fenced_at').where('name', '=', 'node1').executeTakeFirstOrThrow()).fenced_at;
    expect(await fencedAt()).toBeNull();
    const accepted = await act(id, { evacuate: { host: 'node2' } }, cloud.admin, '2.29');
    expect([accepted.statusCode, accepted.body, await fencedAt()]).toEqual([200, '', expect.any(Date)]);
    expect((await stateOf(id)).task_state).toBe('rebuilding');
    const other = await cloud.server(member);
    expect((await act(other, { evacuate: { onSharedStorage: true } })).json()).toEqual({ adminPass: expect.any(String) });
    await host({ reachable: true, forced_down: false, fenced_at: null });
  });
});

describe('suspend', () => {
  it('is accepted where the host says that it can, refused in words where it does not; a suspended server is resumed, and cannot be moved', async () => {
    const id = await cloud.server(member);
    const other = await cloud.server(member, { host_id: cloud.hosts.metal1 });
    await cloud.db.updateTable('host').set({ facts: sql<string>`facts - 'suspends'` }).where('id', '=', cloud.hosts.metal1).execute();
    const refused = await act(other, { suspend: null }, member);
    expect([refused.statusCode, refused.json()]).toEqual([
      409,
      {
        conflictingRequest: {
          code: 409,
          message: `Cannot 'suspend' instance ${other}: host metal1 has no QEMU whose memory could be saved`,
        },
      },
    ]);
    expect((await stateOf(other)).task_state).toBeNull();
    const suspending = await act(id, { suspend: null }, member);
    expect([suspending.statusCode, suspending.body, (await stateOf(id)).task_state]).toEqual([202, '', 'suspending']);
    await cloud.db.updateTable('server').set({ vm_state: 'suspended', power_state: 7, task_state: null }).where('id', '=', id).execute();
    const { server } = (await cloud.call('GET', `${base}/servers/${id}`, { as: member })).json<{ server: Record<string, unknown> }>();
    expect(server).toMatchObject({ status: 'SUSPENDED', 'OS-EXT-STS:vm_state': 'suspended', 'OS-EXT-STS:power_state': 7 });
    for (const [words, body] of [
      ['os-migrateLive', { 'os-migrateLive': { host: null, block_migration: 'auto' } }],
      ['migrate', { migrate: null }],
      ['start', { 'os-start': null }],
      ['stop', { 'os-stop': null }],
      ['rebuild', { rebuild: { imageRef: cloud.imageId } }],
    ] as const) {
      const answer = await act(id, body, cloud.admin, '2.25');
      expect([answer.statusCode, answer.json().conflictingRequest.message]).toEqual([
        409,
        `Cannot '${words}' instance ${id} while it is in vm_state suspended`,
      ]);
    }
    const resuming = await act(id, { resume: null }, member);
    expect([resuming.statusCode, resuming.body, (await stateOf(id)).task_state]).toEqual([202, '', 'resuming']);
  });
});

describe('os-migrateLive', () => {
  const full = { host: null, block_migration: false, disk_over_commit: false };
  const fresh = () => cloud.server(member);
  const refused: readonly (readonly [string, string, object])[] = [
    ['disk_over_commit missing', '2.24', { host: null, block_migration: false }],
    ['disk_over_commit from 2.25 on', '2.25', full],
    ['auto before 2.25', '2.24', { ...full, block_migration: 'auto' }],
    ['force before 2.30', '2.29', { host: 'node2', block_migration: 'auto', force: true }],
    ['force from 2.68 on', '2.68', { host: 'node2', block_migration: 'auto', force: true }],
    ['an unknown key', '2.93', { host: null, block_migration: 'auto', color: 1 }],
    ['no host', '2.1', { block_migration: false, disk_over_commit: false }],
    ['a host that is no name', '2.1', { ...full, host: 'a b' }],
    ['an object for a host', '2.1', { ...full, host: {} }],
    ['null', '2.1', null as unknown as object],
  ];
  it.each(refused)('400 for %s at %s', async (_name, microversion, args) => {
    const id = await fresh();
    const answer = await act(id, { 'os-migrateLive': args }, cloud.admin, microversion);
    expect(answer.statusCode).toBe(400);
    expect((await stateOf(id)).task_state).toBeNull();
  });
  it('sets task_state before it answers, so that a client that looks at once sees MIGRATING', async () => {
    for (const [microversion, args] of [
      ['2.1', { ...full, disk_over_commit: 'False' }],
      ['2.25', { host: null, block_migration: 'auto' }],
      ['2.30', { host: 'node2', block_migration: 'false', force: false }],
      ['2.93', { host: null, block_migration: 'auto' }],
    ] as const) {
      const id = await fresh();
      const answer = await act(id, { 'os-migrateLive': args }, cloud.admin, microversion);
      expect([microversion, answer.statusCode, answer.body]).toEqual([microversion, 202, '']);
      expect((await cloud.call('GET', `${base}/servers/${id}`)).json().server.status).toBe('MIGRATING');
      const history = (await cloud.call('GET', `${base}/servers/${id}/os-instance-actions`)).json().instanceActions;
      expect(history[0]).toMatchObject({ action: 'live-migration', request_id: answer.headers['x-openstack-request-id'] });
      expect(
        (await act(id, { 'os-migrateLive': { host: null, block_migration: 'auto' } }, cloud.admin, '2.93')).json().conflictingRequest
          .message,
      ).toBe(`Cannot 'os-migrateLive' instance ${id} while it is in task_state migrating`);
    }
  });
  it('400 with the words of the API for hosts that cannot be', async () => {
    const id = await fresh();
    const message = async (microversion: string, args: object) =>
      (await act(id, { 'os-migrateLive': args }, cloud.admin, microversion)).json().badRequest.message;
    expect(await message('2.93', { host: 'mars', block_migration: 'auto' })).toBe('Compute host mars could not be found.');
    expect(await message('2.93', { host: 'metal1', block_migration: 'auto' })).toContain('bare metal');
    expect(await message('2.29', { host: 'node1', block_migration: 'auto' })).toBe(
      `Unable to migrate instance (${id}) to current host (node1).`,
    );
    expect(await message('2.30', { host: null, block_migration: 'auto', force: true })).toBe("Can't force to a non-provided destination");
    expect((await stateOf(id)).task_state).toBeNull();
  });
});

describe('shelve', () => {
  const shelved = (vm_state: VmState) =>
    cloud.server(member, {
      vm_state,
      shelved: JSON.stringify({ imageId: cloud.imageId, at: new Date().toISOString(), failedAt: null, replaced: [] }),
      ...(vm_state === 'shelved_offloaded' ? { host_id: null } : {}),
    });
  const unshelve = async (id: string, args: unknown, microversion: string, as = cloud.admin) => {
    const answer = await act(id, { unshelve: args }, as, microversion);
    return [answer.statusCode, Object.values(answer.body === '' ? {} : answer.json<Record<string, { message: string }>>())[0]?.message];
  };
  it('takes a zone from 2.77 on and a host from 2.91 on, and says what is wrong with them', async () => {
    const id = await shelved('shelved_offloaded');
    const unchanged = await stateOf(id);
    for (const [args, microversion] of [
      [{}, '2.77'],
      ['x', '2.77'],
      [{ availability_zone: null }, '2.90'],
      [{ host: 'node1' }, '2.90'],
      [{}, '2.91'],
      [{ host: null }, '2.91'],
    ] as const)
      expect([args, (await unshelve(id, args, microversion))[0]]).toEqual([args, 400]);
    expect(await unshelve(id, { availability_zone: 'mars' }, '2.77')).toEqual([400, 'The requested availability zone is not available']);
    expect(await unshelve(id, { host: 'mars' }, '2.91')).toEqual([400, 'Compute host mars could not be found.']);
    expect((await unshelve(id, { host: 'metal1' }, '2.91'))[0]).toBe(400);
    expect(await unshelve(id, { host: 'node1' }, '2.91', member)).toEqual([
      403,
      "Policy doesn't allow os_compute_api:os-shelve:unshelve_to_host to be performed.",
    ]);
    expect(await stateOf(id)).toEqual(unchanged);
    for (const [args, microversion, as] of [
      ['anything', '2.76', member],
      [null, '2.77', member],
      [{ availability_zone: 'nova' }, '2.77', member],
      [{ availability_zone: null }, '2.91', member],
      [{ availability_zone: null, host: 'node1' }, '2.91', cloud.admin],
    ] as const) {
      const each = await shelved('shelved_offloaded');
      expect([args, await unshelve(each, args, microversion, as)]).toEqual([args, [202, undefined]]);
      expect(await stateOf(each)).toMatchObject({ task_state: 'unshelving', vm_state: 'shelved_offloaded' });
    }
    const here = await shelved('shelved');
    expect(await unshelve(here, { availability_zone: 'nova' }, '2.77')).toEqual([
      409,
      `Specifying an availability zone or a host when unshelving server "${here}" with status "shelved" is not supported. The server status must be SHELVED_OFFLOADED.`,
    ]);
  });
  it('is offloaded by an admin alone; and its state is not reset', async () => {
    const id = await shelved('shelved');
    expect((await act(id, { shelveOffload: null }, member)).json().forbidden.message).toContain('os_compute_api:os-shelve:shelve_offload');
    expect((await act(id, { 'os-resetState': { state: 'active' } })).statusCode).toBe(409);
    expect((await act(id, { shelveOffload: null })).statusCode).toBe(202);
    expect((await stateOf(id)).task_state).toBe('shelving_offloading');
    await cloud.db.updateTable('server').set({ shelved: null }).where('shelved', 'is not', null).execute();
  });
  it('409 with the words of the API for what is not shelved, or is already', async () => {
    const id = await cloud.server(member);
    expect((await act(id, { unshelve: null }, member)).json().conflictingRequest.message).toBe(
      `Cannot 'unshelve' instance ${id} while it is in vm_state active`,
    );
    expect((await act(id, { shelveOffload: null })).json().conflictingRequest.message).toBe(
      `Cannot 'shelve_offload' instance ${id} while it is in vm_state active`,
    );
    const metal = await cloud.server(member, { host_id: cloud.hosts.metal1 });
    expect((await act(metal, { shelve: null }, member)).statusCode).toBe(501);
  });
});

describe('other actions', () => {
  it('400 for an unknown, an empty or a double one', async () => {
    const id = await cloud.server(member);
    expect((await act(id, { fly: null })).json().badRequest.message).toBe('There is no such action: fly');
    expect((await act(id, { constructor: null })).json().badRequest.message).toBe('There is no such action: constructor');
    expect((await act(id, {})).json().badRequest.message).toBe('Malformed request body');
    expect((await act(id, { pause: null, unpause: null })).statusCode).toBe(400);
    expect((await act(id, { reboot: { type: 'GENTLE' } })).statusCode).toBe(400);
    expect((await act(id, { reboot: null })).statusCode).toBe(400);
  });
  it('migrate takes a host from 2.56 on, anything before, and never bare metal', async () => {
    const migrate = async (args: unknown, microversion: string, change: object = {}) =>
      act(await cloud.server(member, change), { migrate: args }, cloud.admin, microversion);
    for (const args of [null, {}, 'x', 7, { host: 'mars' }]) expect((await migrate(args, '2.55')).statusCode).not.toBe(400);
    for (const args of ['x', 7, { host: 'node2', x: 1 }, { host: '' }, { host: 'a b' }, []])
      expect((await migrate(args, '2.56')).statusCode).toBe(400);
    expect((await migrate(null, '2.1', { host_id: cloud.hosts.metal1 })).json()).toEqual({
      conflictingRequest: { code: 409, message: 'bare metal instances cannot be migrated' },
    });
  });
  it('a lock keeps the owner out and the reason is shown; an admin’s lock is the admin’s to open', async () => {
    const id = await cloud.server(member);
    expect((await act(id, { lock: { locked_reason: 'audit' } }, member, '2.73')).statusCode).toBe(202);
    expect((await cloud.call('GET', `${base}/servers/${id}`, { as: member, microversion: '2.73' })).json().server).toMatchObject({
      locked: true,
      locked_reason: 'audit',
    });
    expect((await act(id, { 'os-stop': null }, member)).json().conflictingRequest.message).toBe(`Instance ${id} is locked`);
    expect((await act(id, { unlock: null }, member)).statusCode).toBe(202);
    expect((await act(id, { lock: null }, cloud.admin)).statusCode).toBe(202);
    expect((await act(id, { unlock: null }, member)).statusCode).toBe(403);
    expect((await act(id, { lock: { locked_reason: '' } }, member, '2.73')).statusCode).toBe(400);
    // Below 2.73 the argument is anything, and says nothing.
    const older = await cloud.server(member);
    expect((await act(older, { lock: { locked_reason: 'audit' } }, member, '2.72')).statusCode).toBe(202);
    expect(await stateOf(older)).toMatchObject({ locked: true, locked_reason: null, locked_by: 'owner' });
  });
  it('os-resetState is an admin’s, and not while a migration is under way', async () => {
    const id = await cloud.server(member, { task_state: 'powering-off' });
    expect((await act(id, { 'os-resetState': { state: 'error' } }, member)).statusCode).toBe(403);
    expect((await act(id, { 'os-resetState': { state: 'paused' } })).statusCode).toBe(400);
    expect((await act(id, { 'os-resetState': { state: 'error' } })).statusCode).toBe(202);
    expect(await stateOf(id)).toMatchObject({ vm_state: 'error', task_state: null });
    await cloud.migration(id);
    expect((await act(id, { 'os-resetState': { state: 'active' } })).statusCode).toBe(409);
    expect((await stateOf(id)).vm_state).toBe('error');
  });
  it('the console is the end of what the guest wrote, by lines when asked so', async () => {
    const id = await cloud.server(member);
    expect((await act(id, { 'os-getConsoleOutput': {} }, member)).json()).toEqual({ output: consoleText });
    expect((await act(id, { 'os-getConsoleOutput': { length: '2' } }, member)).json()).toEqual({ output: 'two\nthree\n' });
    expect((await act(id, { 'os-getConsoleOutput': { length: -1 } }, member)).json()).toEqual({ output: consoleText });
    expect((await act(id, { 'os-getConsoleOutput': { length: 'x' } }, member)).statusCode).toBe(400);
    await cloud.db.updateTable('server').set({ host_id: null }).where('id', '=', id).execute();
    expect((await act(id, { 'os-getConsoleOutput': null }, member)).json().conflictingRequest.message).toBe(`Instance ${id} is not ready`);
  });
  it('delete is accepted in any state and 404 afterwards for a stranger', async () => {
    const id = await cloud.server(member, { task_state: 'migrating' });
    const stranger = await cloud.user('member');
    expect((await cloud.call('DELETE', `${base}/servers/${id}`, { as: stranger })).statusCode).toBe(404);
    expect((await cloud.call('DELETE', `${base}/servers/${id}`, { as: member })).statusCode).toBe(204);
    expect((await stateOf(id)).task_state).toBe('deleting');
  });
});

describe('migrations', () => {
  it('list filters, orders and pages as each version does', async () => {
    const id = await cloud.server(member);
    const first = await cloud.migration(id, { status: 'completed', phase: 'completed', finished_at: new Date(), updated_at: new Date() });
    const second = await cloud.migration(id, { status: 'error', phase: 'error', finished_at: new Date(), destination_host_id: null });
    const third = await cloud.migration(id);
    const list = async (microversion: string, query = '') =>
      (await cloud.call('GET', `${base}/os-migrations?instance_uuid=${id}${query}`, { microversion })).json().migrations;
    expect((await list('2.1')).map((one: { id: number }) => one.id)).toEqual([first.apiId, second.apiId, third.apiId]);
    expect((await list('2.59')).map((one: { uuid: string }) => one.uuid)).toEqual([third.id, second.id, first.id]);
    expect((await list('2.59', `&limit=1&marker=${third.id}`)).map((one: { uuid: string }) => one.uuid)).toEqual([second.id]);
    expect((await list('2.23', '&status=running')).map((one: { links: object[] }) => one.links.length)).toEqual([2]);
    expect((await list('2.23', '&host=node2')).length).toBe(2);
    expect((await list('2.23', '&host=node1&migration_type=live-migration')).length).toBe(3);
    expect((await list('2.23', '&migration_type=migration')).length).toBe(0);
    expect((await list('2.1'))[1]).toMatchObject({ source_compute: 'node1', dest_compute: null, dest_host: null, updated_at: null });
    const status = async (microversion: string, query: string, as = cloud.admin) =>
      (await cloud.call('GET', `${base}/os-migrations?${query}`, { microversion, as })).statusCode;
    expect(await status('2.58', 'colour=red')).toBe(200);
    expect(await status('2.59', 'colour=red')).toBe(400);
    expect(await status('2.65', 'changes-before=2030-01-01T00:00:00Z')).toBe(400);
    expect(await status('2.66', 'changes-before=2030-01-01T00:00:00Z')).toBe(200);
    expect(await status('2.79', 'user_id=x')).toBe(400);
    expect(await status('2.80', 'user_id=x')).toBe(200);
    expect(await status('2.59', `marker=${randomUUID()}`)).toBe(400);
    expect(await status('2.93', '', member)).toBe(403);
  });
  it('of a server are shown while they run, by number', async () => {
    const id = await cloud.server(member, { task_state: 'migrating' });
    const { apiId } = await cloud.migration(id);
    const url = `${base}/servers/${id}/migrations`;
    expect((await cloud.call('GET', url, { microversion: '2.23' })).json().migrations).toMatchObject([
      { id: apiId, server_uuid: id, memory_total_bytes: 1000, memory_remaining_bytes: 600, disk_total_bytes: null },
    ]);
    expect((await cloud.call('GET', `${url}/${apiId}`, { microversion: '2.93' })).json().migration.status).toBe('running');
    const texts = async (): Promise<string> =>
      (await cloud.call('GET', `${url}/${apiId}`, { microversion: '2.93' })).json().itemNotFound.message;
    await cloud.db.updateTable('migration').set({ status: 'completed' }).where('api_id', '=', apiId).execute();
    expect(await texts()).toContain('not in progress');
    await cloud.db.updateTable('migration').set({ type: 'resize' }).where('api_id', '=', apiId).execute();
    expect(await texts()).toContain('not live-migration');
    expect((await cloud.call('GET', `${url}/999999`, { microversion: '2.93' })).json().itemNotFound.message).toBe(
      `Migration 999999 not found for instance ${id}`,
    );
    expect((await cloud.call('GET', url, { microversion: '2.23', as: member })).statusCode).toBe(403);
  });
  it('abort refuses with the code of each reason', async () => {
    const id = await cloud.server(member, { task_state: 'migrating' });
    const { id: uuid, apiId } = await cloud.migration(id, { status: 'queued' });
    const abort = (microversion: string, which: number | string = apiId, as = cloud.admin) =>
      cloud.call('DELETE', `${base}/servers/${id}/migrations/${which}`, { microversion, as });
    expect((await abort('2.24', apiId, member)).statusCode).toBe(403);
    expect((await abort('2.93', 999_999)).statusCode).toBe(404);
    expect((await abort('2.64')).json().badRequest.message).toContain(
      `Migration ${apiId} state of instance ${id} is queued. Cannot abort live migration while`,
    );
    expect((await abort('2.65')).statusCode).toBe(202);
    expect(
      (await cloud.db.selectFrom('migration').select('abort_requested_at').where('id', '=', uuid).executeTakeFirstOrThrow())
        .abort_requested_at,
    ).not.toBeNull();
    await cloud.db.updateTable('server').set({ task_state: null }).where('id', '=', id).execute();
    expect((await abort('2.65')).json().conflictingRequest.message).toBe(
      `Cannot 'abort live migration' instance ${id} while it is in task_state None`,
    );
  });
  it('force_complete: 400 for an unknown or idle migration, 409 for a server that is not moving', async () => {
    const id = await cloud.server(member);
    const { apiId } = await cloud.migration(id, { status: 'preparing' });
    const force = (which: number | string) =>
      cloud.call('POST', `${base}/servers/${id}/migrations/${which}/action`, { microversion: '2.22', body: { force_complete: null } });
    expect((await force(apiId)).statusCode).toBe(409);
    await cloud.db.updateTable('server').set({ task_state: 'migrating' }).where('id', '=', id).execute();
    expect([(await force('x')).statusCode, (await force(999_999)).statusCode, (await force(apiId)).statusCode]).toEqual([400, 400, 400]);
    await cloud.db.updateTable('migration').set({ status: 'running' }).where('api_id', '=', apiId).execute();
    for (const _ of ['asked', 'asked again']) expect((await force(apiId)).statusCode).toBe(202);
    const row = await cloud.db.selectFrom('migration').selectAll().where('api_id', '=', apiId).executeTakeFirstOrThrow();
    expect(row.force_requested_at).not.toBeNull();
    expect(row.policy_version).toBe(1);
    const actions = await cloud.db.selectFrom('instance_action').select('action').where('server_id', '=', id).execute();
    expect(actions.filter(({ action }) => action === 'live_migration_force_complete')).toHaveLength(1);
    await cloud.db.updateTable('server').set({ vm_state: 'paused' }).where('id', '=', id).execute();
    expect((await force(apiId)).statusCode).toBe(409);
  });
});

describe('history', () => {
  it('outlives the server from 2.21 on and tells members less', async () => {
    const id = await cloud.server(member);
    const action = await cloud.db.selectFrom('instance_action').selectAll().where('server_id', '=', id).executeTakeFirstOrThrow();
    await cloud.db
      .insertInto('instance_action_event')
      .values({
        action_id: action.id,
        event: 'e',
        host_id: cloud.hosts.node1,
        finish_time: new Date(),
        result: 'Error',
        traceback: null,
        details: 'node2: needs 2048 MB',
      })
      .execute();
    const url = `${base}/servers/${id}/os-instance-actions`;
    const event = async (as: TestUser, microversion: string) =>
      (await cloud.call('GET', `${url}/${action.request_id}`, { as, microversion })).json().instanceAction.events?.[0];
    expect(await event(member, '2.50')).toBeUndefined();
    expect(Object.keys(await event(member, '2.93')).sort()).toEqual(['event', 'finish_time', 'hostId', 'result', 'start_time']);
    expect(await event(cloud.admin, '2.84')).toMatchObject({ host: 'node1', details: 'node2: needs 2048 MB' });
    expect((await cloud.call('GET', `${url}/req-none`)).json().itemNotFound.message).toBe(
      `Action for request_id req-none on instance ${id} not found`,
    );
    await cloud.db.updateTable('server').set({ deleted_at: new Date(), vm_state: 'deleted' }).where('id', '=', id).execute();
    expect((await cloud.call('GET', url, { as: member, microversion: '2.20' })).statusCode).toBe(404);
    expect((await cloud.call('GET', url, { as: member, microversion: '2.21' })).statusCode).toBe(200);
  });
});
