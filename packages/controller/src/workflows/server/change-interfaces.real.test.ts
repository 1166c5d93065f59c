import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { InterfaceRequest } from '../../networks/attach-port.ts';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import { refusal, silence } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';
import { wireGuest } from './wire-guest.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let network: string;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
  network = randomUUID();
  await database.db.insertInto('network').values({ id: network, name: 'net', shared: true }).execute();
  await database.db
    .insertInto('subnet')
    .values({ id: randomUUID(), network_id: network, cidr: '10.1.0.0/24', gateway: null, pool_start: '10.1.0.5', pool_end: '10.1.0.30' })
    .execute();
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

const read = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const idle = (id: string) => until(async () => (await read(id)).task_state === null);
const ports = (id: string) =>
  database.db
    .selectFrom('port')
    .select(['id', 'device_index', 'status', 'host_id'])
    .where('server_id', '=', id)
    .orderBy('device_index')
    .execute();
const allPorts = () => database.db.selectFrom('port').select('id').execute();
/** What its guest was last given; undefined: nobody was asked. */
const given = (id: string) => cloud.hosts.map((host) => host.guests.get(id)?.nics).find((nics) => nics !== undefined);
const lastEvent = async () =>
  database.db.selectFrom('instance_action_event').select(['event', 'result', 'details']).orderBy('id', 'desc').executeTakeFirstOrThrow();
async function attach(engine: Engine, id: Parameters<Engine['operations']['start']>[1], request: InterfaceRequest = {}): Promise<string> {
  const { portId } = await engine.operations.attachInterface(cloud.admin, id, request);
  await idle(id);
  return portId;
}

/** Runs are held where the host has answered, from `hold` to `release`. */
function holding() {
  const gate = Promise.withResolvers<void>();
  let wanted = false;
  let held = false;
  return {
    faultPoint: async (name: string): Promise<void> => {
      if (name !== 'nics:answered' || !wanted) return;
      held = true;
      await gate.promise;
    },
    hold: (): void => void (wanted = true),
    reached: () => until(async () => held),
    release: (): void => {
      wanted = false;
      gate.resolve();
    },
  };
}

it('gives a running guest one card after the other, each in a place of its own, and a place that is free again to the next', async () => {
  const held = holding();
  const engine = await cloud.controller('c1', held.faultPoint);
  const id = await cloud.server(engine, 'node1');
  const first = await attach(engine, id);
  const second = await attach(engine, id, { networkId: network, fixedIp: '10.1.0.20', tag: 'data' });
  expect(given(id)).toEqual([
    { portId: first, slot: 0 },
    { portId: second, slot: 1 },
  ]);
  expect(await ports(id)).toMatchObject([
    { id: first, status: 'ACTIVE', host_id: cloud.hosts[0]?.id },
    { id: second, status: 'ACTIVE' },
  ]);
  await expect(attach(engine, id, { networkId: network, fixedIp: '10.1.0.20' })).rejects.toMatchObject({ code: 'Conflict' });
  held.hold();
  await engine.operations.detachInterface(cloud.admin, id, first);
  await held.reached();
  expect(await read(id)).toMatchObject({ task_state: 'networking' });
  // One thing at a time: nothing is moved while its cards change.
  await expect(engine.operations.migrate(cloud.admin, id, { host: null })).rejects.toMatchObject({ code: 'InvalidState' });
  held.release();
  await idle(id);
  expect(given(id)).toEqual([{ portId: second, slot: 1 }]);
  expect(await allPorts()).toEqual([{ id: second }]);
  const third = await attach(engine, id);
  expect(await ports(id)).toMatchObject([
    { id: third, device_index: 0 },
    { id: second, device_index: 1 },
  ]);
  await expect(engine.operations.detachInterface(cloud.admin, id, first)).rejects.toMatchObject({ code: 'NotFound' });
  for (let place = 2; place < 8; place += 1) await attach(engine, id);
  await expect(attach(engine, id)).rejects.toMatchObject({ code: 'NoFreeDeviceSlot' });
  expect(await allPorts()).toHaveLength(8);
});

it('of a server that is off the record alone, which its next start takes; one of an old layout is changed when it is off', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine);
  await database.db.updateTable('server').set({ device_layout: 1 }).where('id', '=', id).execute();
  await expect(attach(engine, id)).rejects.toMatchObject({ code: 'HotPlugUnsupported' });
  await engine.operations.stop(cloud.admin, id);
  await idle(id);
  const port = await attach(engine, id);
  expect(given(id)).toBeUndefined();
  expect(await ports(id)).toMatchObject([{ id: port, device_index: 0 }]);
  await engine.operations.start(cloud.admin, id);
  await idle(id);
  await expect(engine.operations.detachInterface(cloud.admin, id, port)).rejects.toMatchObject({ code: 'HotPlugUnsupported' });
  expect(await ports(id)).toHaveLength(1);
});

it('a card that the host cannot give is not the server’s, one that its guest keeps still is; the action has the cause', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  const kept = await attach(engine, id);
  const [host] = cloud.hosts;
  host?.faults.push({ call: 'changeNics', when: 'before', error: refusal('NetworkSetupFailed', 'no tap can be made') });
  await attach(engine, id);
  expect(await lastEvent()).toEqual({ event: 'compute_attach_interface', result: 'Error', details: 'no tap can be made' });
  expect(await allPorts()).toEqual([{ id: kept }]);
  host?.faults.push({ call: 'changeNics', when: 'before', error: refusal('InvalidState', 'the guest does not give it up') });
  await engine.operations.detachInterface(cloud.admin, id, kept);
  await idle(id);
  expect(await lastEvent()).toMatchObject({ event: 'compute_detach_interface', result: 'Error' });
  expect(await ports(id)).toMatchObject([{ id: kept }]);
  // Asked again when the answer was lost.
  host?.faults.push({ call: 'changeNics', when: 'after', error: silence() });
  await engine.operations.detachInterface(cloud.admin, id, kept);
  await idle(id);
  expect(await lastEvent()).toMatchObject({ event: 'compute_detach_interface', result: 'Success' });
  expect(await allPorts()).toEqual([]);
  // And when the host carries a call of an earlier run out still.
  host?.faults.push({ call: 'changeNics', when: 'before', error: refusal('Conflict', 'another operation has not ended') });
  await attach(engine, id);
  expect(await lastEvent()).toMatchObject({ event: 'compute_attach_interface', result: 'Success' });
});

it('is finished by the next controller when one dies after the host has done it', async () => {
  let died = false;
  let bury = (): void => {};
  const dead = new Promise<never>((_resolve, reject) => {
    bury = () => reject(new Error('killed'));
  });
  dead.catch(() => {});
  const engine = await cloud.controller('c1', async (name) => {
    if (name !== 'nics:answered') return;
    died = true;
    await dead;
  });
  const id = await cloud.server(engine);
  const { portId } = await engine.operations.attachInterface(cloud.admin, id, {});
  await until(async () => died);
  await cloud.controller('c1');
  await idle(id);
  bury();
  expect(await ports(id)).toMatchObject([{ id: portId, status: 'ACTIVE' }]);
  expect(await lastEvent()).toMatchObject({ event: 'compute_attach_interface', result: 'Success' });
});

it('a bound port is another server’s to nobody, and comes back whole when it is taken out', async () => {
  const engine = await cloud.controller('c1');
  const [one, two] = [await cloud.server(engine), await cloud.server(engine)];
  const own = randomUUID();
  await database.db
    .insertInto('port')
    .values({
      id: own,
      network_id: network,
      project_id: 'p1',
      name: 'own',
      mac: 'fa:16:3e:01:02:03',
      fixed_ips: '[]',
      allowed_address_pairs: '[]',
    } as never)
    .execute();
  await attach(engine, one, { portId: own });
  await expect(attach(engine, two, { portId: own })).rejects.toMatchObject({ code: 'Conflict' });
  await expect(attach(engine, two, { portId: randomUUID() })).rejects.toMatchObject({ code: 'NotFound' });
  await engine.operations.detachInterface(cloud.admin, one, own);
  await idle(one);
  expect(await database.db.selectFrom('port').select(['id', 'server_id', 'status']).execute()).toEqual([
    { id: own, server_id: null, status: 'DOWN' },
  ]);
});

it('a card that its guest has got before the host failed is taken out before its port goes; where that fails too, the port stays', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  const kept = await attach(engine, id);
  const [host] = cloud.hosts;
  const half = { call: 'changeNics', when: 'after', error: refusal('NetworkSetupFailed', 'the next one has no tap') } as const;
  host?.faults.push(half);
  await attach(engine, id);
  expect(given(id)).toEqual([{ portId: kept, slot: 0 }]);
  expect(await allPorts()).toEqual([{ id: kept }]);
  expect(await lastEvent()).toMatchObject({ result: 'Error', details: 'the next one has no tap' });
  host?.faults.push(half, { ...half, when: 'before', error: refusal('InvalidState', 'the guest does not give it up') });
  const unknown = await attach(engine, id);
  expect(given(id)).toMatchObject([{ portId: kept }, { portId: unknown }]);
  expect(await ports(id)).toMatchObject([{ id: kept }, { id: unknown }]);
  const { details } = await lastEvent();
  expect(details).toMatch(
    /no tap; and it could not be undone: the guest does not give it up; it is not known whether .*detach it to give it up/,
  );
  await engine.operations.detachInterface(cloud.admin, id, unknown);
  await idle(id);
  expect(await allPorts()).toEqual([{ id: kept }]);
});

it('a host that stays silent: nobody knows, so the port is the server’s until it is detached', async () => {
  const engine = await cloud.controller('c1', undefined, undefined, undefined, undefined, undefined, 100);
  const id = await cloud.server(engine, 'node1');
  const [host] = cloud.hosts;
  if (host === undefined) throw new Error('no host');
  host.down = true;
  const port = await attach(engine, id);
  expect(await lastEvent()).toMatchObject({ result: 'Error', details: expect.stringContaining('it is not known whether') as string });
  expect(await ports(id)).toMatchObject([{ id: port }]);
  await engine.operations.detachInterface(cloud.admin, id, port);
  await idle(id);
  expect(await ports(id)).toMatchObject([{ id: port }]);
  host.down = false;
  await engine.operations.detachInterface(cloud.admin, id, port);
  await idle(id);
  expect(await allPorts()).toEqual([]);
});

it('a run whose end is written and that is run again leaves a newer one alone', async () => {
  const held = holding();
  const engine = await cloud.controller('c1', held.faultPoint);
  const id = await cloud.server(engine);
  const first = await attach(engine, id);
  const over = () =>
    database.db
      .selectFrom('workflow')
      .select(['kind', 'attempts', 'finished_at'])
      .where('subject_id', '=', id)
      .orderBy('created_at')
      .execute();
  await until(async () => (await over()).every(({ finished_at }) => finished_at !== null));
  held.hold();
  const { portId: second } = await engine.operations.attachInterface(cloud.admin, id, {});
  await held.reached();
  const { fence } = await read(id);
  // Their controller died before it could say that they are over.
  await database.db
    .updateTable('workflow')
    .set({ finished_at: null, executor_id: null, not_before: new Date(0) })
    .where('subject_id', '=', id)
    .where('finished_at', 'is not', null)
    .execute();
  await until(async () => (await over()).slice(0, 2).every(({ attempts, finished_at }) => attempts === 2 && finished_at !== null));
  expect(await read(id)).toMatchObject({ fence, task_state: 'networking' });
  held.release();
  await idle(id);
  await until(async () => (await over()).every(({ finished_at }) => finished_at !== null));
  expect(await over()).toMatchObject([
    { kind: 'create-server', attempts: 2 },
    { kind: 'change-interfaces', attempts: 2 },
    { kind: 'change-interfaces', attempts: 1 },
  ]);
  expect(await ports(id)).toMatchObject([
    { id: first, status: 'ACTIVE' },
    { id: second, status: 'ACTIVE' },
  ]);
});

it('a server that is deleted while it gets one: the event ends in error', async () => {
  const held = holding();
  const engine = await cloud.controller('c1', held.faultPoint);
  const id = await cloud.server(engine);
  held.hold();
  const { actionId } = await engine.operations.attachInterface(cloud.admin, id, {});
  await held.reached();
  await engine.operations.delete(cloud.admin, id);
  held.release();
  const event = () =>
    database.db
      .selectFrom('instance_action_event')
      .select(['result', 'details'])
      .where('action_id', '=', actionId)
      .executeTakeFirstOrThrow();
  await until(async () => (await event()).result !== null);
  expect(await event()).toMatchObject({ result: 'Error', details: expect.stringContaining('taken over') as string });
  await until(async () => (await read(id)).deleted_at !== null);
  expect(await allPorts()).toEqual([]);
});

it('a server that a controller without layouts has launched keeps the first one, also when it starts again', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine);
  expect(await read(id)).toMatchObject({ device_layout: 2 });
  await database.db.updateTable('server').set({ device_layout: null }).where('id', '=', id).execute();
  expect((await wireGuest(database.db, id)).deviceLayout).toBe(1);
  await engine.operations.stop(cloud.admin, id);
  await idle(id);
  await engine.operations.start(cloud.admin, id);
  await idle(id);
  expect(await read(id)).toMatchObject({ device_layout: 1 });
  await database.db.updateTable('server').set({ device_layout: null, launched_at: null }).where('id', '=', id).execute();
  expect((await wireGuest(database.db, id)).deviceLayout).toBe(2);
});
