import { randomUUID } from 'node:crypto';
import { controllerStep } from '@godwit/domain/custody/controller';
import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AppContext } from '../../app-context.ts';
import { fenceHost, letFencedHostBack, noteFencedHostCompared } from '../../hosts/fence-host.ts';
import type { Db } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { ServerOperations } from '../../workflows/operations.ts';
import { startTestApi, type TestApi } from '../test-api.ts';
import { godwitPlugin } from './plugin.ts';

let server: TestServer;
let api: TestApi;
let db: Db;
const enqueued: string[] = [];
const ids = { node1: randomUUID(), node2: randomUUID(), node3: randomUUID() };
beforeAll(async () => {
  server = await startTestServer();
  db = (await server.database()).db;
  const workflows = {
    enqueue: async (_: unknown, one: { readonly subjectId: string }) => void enqueued.push(one.subjectId),
    wake: async () => {},
  };
  const operations = {
    fenceHost: (caller, name) => fenceHost(db, workflows, caller, name),
  } as Partial<ServerOperations> as ServerOperations;
  api = await startTestApi(db, {
    operations,
    more: async (app, context) =>
      void (await app.register(async (scope) => godwitPlugin(scope, context as unknown as AppContext), { prefix: '/godwit/v1' })),
  });
  for (const [name, id] of Object.entries(ids))
    await db
      .insertInto('host')
      .values({
        id,
        name,
        hypervisor_type: 'QEMU',
        address: '10.77.0.11',
        rpc_port: 8781,
        reachable: name === 'node1',
        last_seen_at: new Date(Date.now() - (name === 'node3' ? 1_000 : 3_600_000)),
        facts: JSON.stringify(factsFixture({})),
      })
      .execute();
}, 60_000);
afterAll(() => server.stop());

const fence = (name: string, body: object | undefined, who = api.admin) =>
  api.call('POST', `/godwit/v1/hosts/${name}/fence`, { as: who, ...(body === undefined ? {} : { body }) });

it('is for admins, confirmed in so many words, of a host that exists and is silent; a refusal changes nothing', async () => {
  const before = await db.selectFrom('host').selectAll().orderBy('name').execute();
  expect((await fence('node2', { confirmed: true }, await api.user('member'))).statusCode).toBe(403);
  for (const body of [undefined, {}, { confirmed: 'yes' }, { confirmed: true, force: true }])
    expect([body, (await fence('node2', body)).statusCode]).toEqual([body, 400]);
  const unconfirmed = await fence('node2', { confirmed: false });
  expect(unconfirmed.statusCode).toBe(400);
  expect(unconfirmed.json().error.message).toMatch(/two copies of a guest will run/);
  expect((await fence('nowhere', { confirmed: true })).statusCode).toBe(404);
  // Connected, by the watcher's word; and heard of a second ago, whatever that says.
  for (const name of ['node1', 'node3']) {
    const answer = await fence(name, { confirmed: true });
    expect([answer.statusCode, answer.json().error.code]).toEqual([409, 'Conflict']);
    expect(answer.json().error.message).toContain('while it is heard of');
  }
  expect(await db.selectFrom('host').selectAll().orderBy('name').execute()).toEqual(before);
  expect(enqueued).toEqual([]);
});

it("a move's record names the two ways out while its host is silent; the fence is one of them, and settles every server that waits for the host", async () => {
  const [id, moveId] = [randomUUID(), randomUUID()];
  const [node1, node2] = [as<HostId>(ids.node1), as<HostId>(ids.node2)];
  const fenceOf = asFence(1);
  const move = { migrationId: as<MigrationId>(moveId), source: node1, destination: node2, epoch: asEpoch(2) };
  const first: CustodyRow = {
    serverId: as<ServerId>(id),
    epoch: asEpoch(1),
    fence: fenceOf,
    holder: { kind: 'host', hostId: node1, epoch: asEpoch(1), bootId: as<BootId>('b1') },
    operation: null,
    remains: [],
    behind: false,
  };
  const { holder, operation, remains, behind } = [
    {
      kind: 'beginMove',
      fenced: false,
      migrationId: move.migrationId,
      destination: node2,
      bootId: as<BootId>('b2'),
      endState: 'running',
      postCopy: false,
    } as const,
    { kind: 'heard', from: node2, message: { kind: 'granted', epoch: move.epoch } } as const,
    { kind: 'heard', from: node1, message: { kind: 'released', release: move } } as const,
  ].reduce((row: CustodyRow, event) => controllerStep(row, { ...event, fence: fenceOf }).row, first);
  const flavor = { name: 'f', vcpus: 1, ram_mib: 64, disk_gib: 1, ephemeral_gib: 0, swap_mib: 0, extra_specs: {} };
  await db
    .insertInto('server')
    .values({
      id,
      name: 's',
      hostname: 's',
      project_id: 'p',
      user_id: 'u',
      vm_state: 'active',
      task_state: 'migrating',
      host_id: ids.node1,
      flavor_id: 'f',
      flavor: JSON.stringify(flavor),
      reservation_id: 'r',
      custody: JSON.stringify({ holder, operation, remains, behind }),
    })
    .execute();
  await db
    .insertInto('disk')
    .values({ id: randomUUID(), server_id: id, device_index: 0, pool: 'pool-a', storage: 'shared', format: 'qcow2', size_bytes: 2 ** 30 })
    .execute();
  await db
    .insertInto('migration')
    .values({
      id: moveId,
      server_id: id,
      type: 'live-migration',
      status: 'running',
      phase: 'switchover',
      source_host_id: ids.node1,
      destination_host_id: ids.node2,
      previous_vm_state: 'active',
      user_id: 'u',
      project_id: 'p',
      request_id: 'req-1',
    })
    .execute();
  const ways = async () => (await api.call('GET', `/godwit/v1/migrations/${moveId}`)).json().migration.waysOut;
  const [wait, way, ...more] = await ways();
  expect(more).toEqual([]);
  expect(wait).toMatchObject({ kind: 'wait', host: 'node2' });
  expect(way).toMatchObject({
    kind: 'fence',
    host: 'node2',
    outcome: 'restart-from-disk',
    disks: [{ deviceIndex: 0, pool: 'pool-a', storage: 'shared' }],
    request: { method: 'POST', path: '/hosts/node2/fence' },
  });
  expect(way.sentence).toContain('disk 0 (shared pool pool-a)');
  expect(way.warning).toContain('two copies');
  const answer = await api.call(way.request.method, `/godwit/v1${way.request.path}`, { body: way.request.body });
  expect([answer.statusCode, answer.json()]).toMatchObject([202, { host: { id: ids.node2, name: 'node2' }, warning: way.warning }]);
  expect(enqueued).toEqual([id]);
  const { hosts } = (await api.call('GET', '/godwit/v1/hosts')).json();
  expect(hosts.map((host: { name: string; fencedAt: string | null }) => [host.name, host.fencedAt])).toEqual([
    ['node1', null],
    ['node2', answer.json().host.fencedAt],
    ['node3', null],
  ]);
  // While the host answers nothing has to be decided by a person.
  await db.updateTable('host').set({ reachable: true }).where('id', '=', ids.node2).execute();
  expect(await ways()).toEqual([]);
});

it('a host that was fenced in a boot which its row had never heard of is not let back for that boot, but when what it had is gone', async () => {
  const row = () => db.selectFrom('host').select(['fenced_at', 'fenced_boot_id']).where('id', '=', ids.node3).executeTakeFirstOrThrow();
  const holder = { kind: 'host', hostId: ids.node3, epoch: 1, bootId: 'node3-2' };
  const custody = (value: object) => JSON.stringify({ holder, operation: null, remains: [], behind: false, ...value });
  const { id } = await db
    .updateTable('server')
    .set({ custody: custody({}) })
    .returning('id')
    .executeTakeFirstOrThrow();
  await db
    .updateTable('host')
    .set({ boot_id: 'node3-1', reachable: false, last_seen_at: new Date(Date.now() - 3_600_000) })
    .where('id', '=', ids.node3)
    .execute();
  expect((await fence('node3', { confirmed: true })).statusCode).toBe(202);
  expect(await row()).toMatchObject({ fenced_boot_id: null });
  // A memory that was saved there is of no boot, and says nothing of it.
  await db.updateTable('host').set({ fenced_at: null }).where('id', '=', ids.node3).execute();
  const saved = custody({ holder: { kind: 'suspended', hostId: ids.node3, epoch: 1 } });
  await db.updateTable('server').set({ custody: saved }).where('id', '=', id).execute();
  expect((await fence('node3', { confirmed: true })).statusCode).toBe(202);
  expect(await row()).toMatchObject({ fenced_boot_id: 'node3-1' });
  await db.updateTable('host').set({ fenced_boot_id: null }).where('id', '=', ids.node3).execute();
  // It was cut off, and is connected again: what it runs is not killed yet.
  await db
    .updateTable('server')
    .set({ custody: custody({ holder: { kind: 'nowhere' }, remains: [{ hostId: ids.node3, below: 2 }] }) })
    .where('id', '=', id)
    .execute();
  await db.updateTable('host').set({ boot_id: 'node3-2', reachable: true, last_seen_at: new Date() }).where('id', '=', ids.node3).execute();
  await noteFencedHostCompared(db, ids.node3);
  expect([await letFencedHostBack(db, ids.node3), (await row()).fenced_at === null]).toEqual([false, false]);
  await db
    .updateTable('server')
    .set({ custody: custody({ holder: { kind: 'nowhere' } }) })
    .where('id', '=', id)
    .execute();
  expect([await letFencedHostBack(db, ids.node3), (await row()).fenced_at === null]).toEqual([true, true]);
});
