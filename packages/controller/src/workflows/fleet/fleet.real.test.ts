import { randomUUID } from 'node:crypto';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import {
  BalanceAnswer,
  OperationAnswer,
  OperationEvent,
  OperationsAnswer,
  type Plan,
  PlanAnswer,
} from '@godwit/contract/schemas/godwit/fleet-answers';
import type { NewOperation } from '@godwit/contract/schemas/godwit/fleet-requests';
import { as, type ServerId } from '@godwit/domain/ids';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { godwitPlugin } from '../../api/godwit/plugin.ts';
import { violation } from '../../api/json-body.ts';
import { startTestApi } from '../../api/test-api.ts';
import type { AppContext } from '../../app-context.ts';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import { refusal, runningCopies } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, fallSilent, until } from '../testing/fake-cloud.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

const readServer = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const hostOf = async (id: string) => {
  const { host_id } = await readServer(id);
  return cloud.hosts.find((host) => host.id === host_id)?.name;
};
const servers = async (engine: Engine, host: string, count: number): Promise<readonly ServerId[]> => {
  const ids: ServerId[] = [];
  for (let index = 0; index < count; index++) ids.push(await cloud.server(engine, host));
  return ids;
};
const begin = (engine: Engine, request: NewOperation) => engine.fleet.begin({ ...cloud.admin, requestId: `req-${randomUUID()}` }, request);
const ended = async (engine: Engine, id: string, deadlineMs = 30_000) => {
  await until(async () => (await engine.fleet.show(id)).finishedAt !== null, deadlineMs);
  return engine.fleet.show(id);
};
/** Whatever the operation did: one copy of each server, one claim of each, where the server is. */
async function consistent(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    expect(runningCopies(cloud.hosts, id)).toBeLessThanOrEqual(1);
    const { host_id } = await readServer(id);
    expect(await database.db.selectFrom('allocation').select(['consumer_id', 'host_id']).where('server_id', '=', id).execute()).toEqual([
      { consumer_id: id, host_id },
    ]);
  }
}

describe('a bulk live migration', () => {
  it('moves what was planned, one at a time, and tells the stream', async () => {
    const engine = await cloud.controller('c1');
    const ids = await servers(engine, 'node1', 3);
    const plan = await engine.fleet.plan({ select: { host: 'node1' } });
    expect(plan.complete).toBe(true);
    expect(plan.items.map(({ server, source }) => [server.id, source.name]).toSorted()).toEqual(ids.map((id) => [id, 'node1']).toSorted());
    const { id } = await begin(engine, { kind: 'bulk', select: { host: 'node1' } });
    const operation = await ended(engine, id);
    expect(operation.state).toBe('completed');
    expect(operation.items.map(({ state, note }) => [state, note])).toEqual(ids.map(() => ['done', null]));
    for (const item of operation.items) {
      expect(item.destination?.name).toBe(await hostOf(item.server.id));
      expect(item.destination?.name).toBe(item.planned?.name);
    }
    // One at a time: each began after the one before had ended.
    const times = operation.items.map(({ startedAt, finishedAt }) => [startedAt ?? '', finishedAt ?? ''] as const);
    for (const [index, [startedAt]] of times.entries()) if (index > 0) expect(startedAt >= (times[index - 1]?.[1] ?? '')).toBe(true);
    await consistent(ids);
    const events = await database.db
      .selectFrom('event')
      .select(['data', 'project_id'])
      .where('kind', '=', 'operation')
      .orderBy('id')
      .execute();
    const told = events.map(({ data }) => (data as { admin: { operation: { state: string }; item: { state: string } | null } }).admin);
    expect(told.filter(({ item }) => item?.state === 'moving').length).toBe(3);
    expect(told.filter(({ item }) => item?.state === 'done').length).toBe(3);
    expect(told.at(-1)?.operation.state).toBe('completed');
    expect(events.every(({ project_id }) => project_id === null)).toBe(true);
  });

  it('goes on past a move that waits for a destination which took and fell silent', async () => {
    const [node2, node3] = [fakeHostNamed('node2'), fakeHostNamed('node3')];
    const engine = await cloud.controller('c1', async (name) => {
      if (name !== 'phase:committing' || node2.down || node3.guests.size > 0) return;
      node2.down = true;
      await fallSilent(database, node2);
    });
    const ids = await servers(engine, 'node1', 3);
    const items = ids.map((server, index) => ({ server, destination: index === 0 ? 'node2' : 'node3' }));
    const { id } = await begin(engine, { kind: 'bulk', items });
    await until(async () => (await engine.fleet.show(id)).items.filter(({ state }) => state === 'done').length === 2, 30_000);
    expect((await engine.fleet.show(id)).items.map(({ state }) => state)).toEqual(['moving', 'done', 'done']);
    node2.down = false;
    expect(await ended(engine, id, 60_000)).toMatchObject({ state: 'completed' });
    await consistent(ids);
  }, 120_000);

  it('goes elsewhere when the plan is overtaken, and says why; a pinned one fails', async () => {
    const engine = await cloud.controller('c1');
    const [a, b] = await servers(engine, 'node1', 2);
    await database.db.updateTable('host').set({ enabled: false, disabled_reason: 'kernel update' }).where('name', '=', 'node2').execute();
    const { id } = await begin(engine, {
      kind: 'bulk',
      items: [
        { server: a ?? '', destination: 'node2' },
        { server: b ?? '', destination: 'node2', pinned: true },
      ],
    });
    const operation = await ended(engine, id);
    expect(operation.state).toBe('incomplete');
    expect(operation.items.map(({ state }) => state)).toEqual(['done', 'failed']);
    expect(operation.items[0]?.note).toBe('planned node2, went to node3, because node2: disabled: kernel update');
    // Told before it was there, it was said to be going there.
    const told = await database.db.selectFrom('event').select('data').where('kind', '=', 'operation').orderBy('id').execute();
    type Told = {
      readonly admin: { readonly operation: { readonly id: string }; readonly item: { readonly state: string; readonly note: string } };
    };
    const moving = told
      .map(({ data }) => (data as Told).admin)
      .filter(({ operation: of, item }) => of.id === id && item?.state === 'moving');
    expect(moving.map(({ item }) => item.note)).toEqual(['planned node2, going to node3, because node2: disabled: kernel update']);
    expect(operation.items[1]?.cause).toEqual({ code: 'NoValidHost', sentence: 'node2: disabled: kernel update', remedy: null });
    expect([await hostOf(a ?? ''), await hostOf(b ?? '')]).toEqual(['node3', 'node1']);
    await database.db.updateTable('host').set({ enabled: true, disabled_reason: null }).where('name', '=', 'node2').execute();
    await engine.fleet.command(cloud.admin, id, 'retry');
    const again = await ended(engine, id);
    expect(again.state).toBe('completed');
    expect([await hostOf(a ?? ''), await hostOf(b ?? '')]).toEqual(['node3', 'node2']);
    await consistent([as<ServerId>(a ?? ''), as<ServerId>(b ?? '')]);
  });
});

const fakeHostNamed = (name: string) => {
  const host = cloud.hosts.find((one) => one.name === name);
  if (host === undefined) throw new Error(name);
  return host;
};
const hostRow = (name: string) => database.db.selectFrom('host').selectAll().where('name', '=', name).executeTakeFirstOrThrow();
const group = async (policy: 'affinity' | 'anti-affinity', members: readonly ServerId[]) => {
  const id = randomUUID();
  await database.db
    .insertInto('server_group')
    .values({ id, name: `g-${policy}`, policy, project_id: 'p1', user_id: 'u' })
    .execute();
  for (const server_id of members) await database.db.insertInto('server_group_member').values({ group_id: id, server_id }).execute();
  return id;
};
const power = async (engine: Engine, id: ServerId, action: 'pause' | 'stop', state: string) => {
  await engine.operations[action](cloud.admin, id);
  await until(async () => (await readServer(id)).vm_state === state && (await readServer(id)).task_state === null);
};

describe('draining', () => {
  it('disables, moves what runs, is paused or stopped, leaves the rest with its reason, and proves what it says', async () => {
    const engine = await cloud.controller('c1');
    const [active, paused, stopped, tied, other] = (await servers(engine, 'node1', 5)) as [
      ServerId,
      ServerId,
      ServerId,
      ServerId,
      ServerId,
    ];
    const together = await group('affinity', [tied, other]);
    await power(engine, paused, 'pause', 'paused');
    await power(engine, stopped, 'stop', 'stopped');
    const accepted = await begin(engine, { kind: 'maintenance', hosts: ['node1'], reason: 'kernel update' });
    // What cannot move is known before the first move.
    const remedy = 'on node2: remove the server from group g-affinity, move it, add it again';
    const excluded = accepted.items.filter(({ state }) => state === 'excluded');
    expect(excluded.map(({ server, cause }) => [server.id, cause?.code, cause?.remedy]).toSorted()).toEqual(
      [tied, other].map((id) => [id, 'Affinity', remedy]).toSorted(),
    );
    expect(await hostRow('node1')).toMatchObject({ enabled: false, disabled_reason: 'kernel update' });
    const again = await begin(engine, { kind: 'drain', hosts: ['node1'], reason: 'twice' }).catch((error: unknown) => error);
    expect(again).toMatchObject({ code: 'Conflict' });
    const first = await ended(engine, accepted.id);
    expect(first.state).toBe('incomplete');
    expect(first.hosts).toMatchObject([{ step: 'not-empty', proof: { servers: 2, claims: 2, guests: 2 } }]);
    const states = await Promise.all([active, paused, stopped].map(readServer));
    expect(states.map(({ vm_state, task_state }) => [vm_state, task_state])).toEqual([
      ['active', null],
      ['paused', null],
      ['stopped', null],
    ]);
    for (const id of [active, paused, stopped]) expect(await hostOf(id)).not.toBe('node1');
    // The stopped one was neither started nor left to be confirmed.
    expect(cloud.hosts.flatMap((host) => host.calls.filter(({ call }) => call === 'startGuest')).length).toBe(5);
    await consistent([active, paused, stopped, tied, other]);

    await database.db.deleteFrom('server_group_member').where('group_id', '=', together).where('server_id', '=', other).execute();
    await engine.fleet.command(cloud.admin, accepted.id, 'retry');
    const second = await ended(engine, accepted.id);
    expect([second.state, second.hosts[0]?.step, second.hosts[0]?.proof]).toMatchObject([
      'completed',
      'in-maintenance',
      { servers: 0, claims: 0, guests: 0 },
    ]);

    const home = await ended(engine, (await begin(engine, { kind: 'restore', host: 'node1' })).id);
    expect([home.state, home.hosts[0]?.step]).toEqual(['completed', 'restored']);
    expect(home.items.map(({ direction, state, destination }) => [direction, state, destination?.name])).toEqual(
      [1, 2, 3, 4, 5].map(() => ['home', 'done', 'node1']),
    );
    expect((await hostRow('node1')).enabled).toBe(true);
    expect((await engine.fleet.show(accepted.id)).hosts[0]?.step).toBe('restored');
    await consistent([active, paused, stopped, tied, other]);
  });

  it('rolls over hosts, one at a time, and brings everything home', async () => {
    const engine = await cloud.controller('c1');
    const [a, b, c] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node2'), await cloud.server(engine, 'node1')];
    await group('anti-affinity', [a, b]);
    const { id } = await begin(engine, { kind: 'rolling', hosts: ['node1', 'node2'], reason: 'reboot', atMost: 1, until: 'reboot' });
    const step = async (name: string) => (await engine.fleet.show(id)).hosts.find(({ host }) => host.name === name)?.step;
    await until(async () => (await step('node1')) === 'in-maintenance');
    expect(await step('node2')).toBe('waiting');
    expect(await hostOf(a)).toBe('node3');
    fakeHostNamed('node1').bootId = 'boot-node1-2';
    await database.db.updateTable('host').set({ boot_id: 'boot-node1-2' }).where('name', '=', 'node1').execute();
    await until(async () => (await step('node2')) === 'in-maintenance');
    expect(await step('node1')).toBe('restored');
    const home = (await engine.fleet.show(id)).items.filter(({ direction }) => direction === 'home');
    expect(home.map(({ state, cause }) => [state, cause])).toEqual([
      ['done', null],
      ['done', null],
    ]);
    expect([await hostOf(a), await hostOf(c)]).toEqual(['node1', 'node1']);
    await engine.fleet.hostDone(id, 'node2');
    const operation = await ended(engine, id);
    expect(operation.state).toBe('completed');
    expect([await hostOf(a), await hostOf(b), await hostOf(c)]).toEqual(['node1', 'node2', 'node1']);
    expect((await Promise.all(['node1', 'node2'].map(hostRow))).map(({ enabled }) => enabled)).toEqual([true, true]);
    await consistent([a, b, c]);
  });
});

describe('rolling over the only two hosts', () => {
  it('brings home from the host whose turn comes next', async () => {
    const engine = await cloud.controller('c1');
    const [a, b] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node2')];
    await database.db.updateTable('host').set({ enabled: false }).where('name', '=', 'node3').execute();
    const { id } = await begin(engine, { kind: 'rolling', hosts: ['node1', 'node2'], reason: 'work' });
    const step = async (name: string) => (await engine.fleet.show(id)).hosts.find(({ host }) => host.name === name)?.step;
    for (const [name, away] of [
      ['node1', 'node2'],
      ['node2', 'node1'],
    ] as const) {
      await until(async () => (await step(name)) === 'in-maintenance');
      expect([await hostOf(a), await hostOf(b)]).toEqual([away, away]);
      await engine.fleet.hostDone(id, name);
    }
    expect((await ended(engine, id)).state).toBe('completed');
    expect([await hostOf(a), await hostOf(b)]).toEqual(['node1', 'node2']);
    await consistent([a, b]);
  });
});

describe('evacuation', () => {
  const dies = (name: string): Promise<void> => fallSilent(database, fakeHostNamed(name));

  it('restarts what a dead host had, once somebody says that it is dead, and stops its stale copies when it returns', async () => {
    const engine = await cloud.controller('c1');
    const [running, stopped] = (await servers(engine, 'node1', 2)) as [ServerId, ServerId];
    await power(engine, stopped, 'stop', 'stopped');
    const alive = await begin(engine, { kind: 'evacuate', host: 'node1', confirmedDead: true }).catch((error: unknown) => error);
    expect(alive).toMatchObject({ code: 'Conflict', message: expect.stringContaining('answers') as string });
    await dies('node1');
    const unsaid = await begin(engine, { kind: 'evacuate', host: 'node1' }).catch((error: unknown) => error);
    expect(unsaid).toMatchObject({ code: 'Conflict', message: expect.stringContaining('two copies') as string });
    expect((await readServer(running)).task_state).toBeNull();
    const { id } = await begin(engine, { kind: 'evacuate', host: 'node1', confirmedDead: true });
    const operation = await ended(engine, id);
    expect([operation.state, operation.items.map(({ state, method }) => [state, method])]).toEqual([
      'completed',
      [
        ['done', 'restart'],
        ['done', 'restart'],
      ],
    ]);
    expect(operation.hosts).toMatchObject([{ step: 'empty', proof: { servers: 0, claims: 0, guests: null } }]);
    const [one, other] = await Promise.all([running, stopped].map(readServer));
    expect([one?.vm_state, one?.task_state, other?.vm_state]).toEqual(['active', null, 'stopped']);
    expect(one?.epoch).toBeGreaterThan(1);
    for (const server of [running, stopped]) expect(await hostOf(server)).not.toBe('node1');
    const moves = await database.db.selectFrom('migration').select(['type', 'status']).where('server_id', '=', running).execute();
    expect(moves).toEqual([{ type: 'evacuation', status: 'done' }]);
    // It was only cut off: its copy still runs until the host is heard of again.
    expect(runningCopies(cloud.hosts, running)).toBe(2);
    fakeHostNamed('node1').down = false;
    await until(async () => runningCopies(cloud.hosts, running) === 1);
    expect(fakeHostNamed('node1').guests.get(running)?.state).not.toBe(GuestState.RUNNING);
    await consistent([running, stopped]);
  });
});

describe('an operation', () => {
  it('pauses, resumes, aborts the rest, and refuses what its state does not allow', async () => {
    const engine = await cloud.controller('c1');
    const ids = await servers(engine, 'node1', 3);
    // The first copy does not end by itself.
    for (const host of cloud.hosts) host.copyRounds = null;
    const { id } = await begin(engine, { kind: 'bulk', select: { servers: [...ids] } });
    const counts = async () => (await engine.fleet.show(id)).counts;
    await until(async () => (await counts()).moving === 1);
    const paused = await engine.fleet.command(cloud.admin, id, 'pause');
    expect([paused.state, paused.commands]).toEqual(['paused', ['resume', 'abort']]);
    await expect(engine.fleet.command(cloud.admin, id, 'pause')).rejects.toMatchObject({ code: 'Conflict' });
    await expect(engine.fleet.command(cloud.admin, id, 'retry')).rejects.toMatchObject({ code: 'Conflict' });
    for (const host of cloud.hosts) host.copyRounds = 1;
    await until(async () => (await counts()).done === 1);
    expect(await counts()).toMatchObject({ moving: 0, waiting: 2 });
    for (const host of cloud.hosts) host.copyRounds = null;
    await engine.fleet.command(cloud.admin, id, 'resume');
    await until(async () => (await counts()).moving === 1);
    await engine.fleet.command(cloud.admin, id, 'abort');
    await until(async () => (await counts()).cancelled === 1);
    for (const host of cloud.hosts) host.copyRounds = 1;
    const operation = await ended(engine, id);
    expect([operation.state, operation.counts.done, operation.counts.cancelled]).toEqual(['aborted', 2, 1]);
    await expect(engine.fleet.command(cloud.admin, id, 'abort')).rejects.toMatchObject({ code: 'Conflict' });
    await consistent(ids);
  });

  it.each(['fleet:settled', 'fleet:begun', 'fleet:accepted'])(
    'is taken over when its controller freezes at %s, and the frozen one does no harm when it wakes',
    async (point) => {
      const frozen = Promise.withResolvers<void>();
      let seen = 0;
      const first = await cloud.controller('c1', async (name) => {
        if (name === point && ++seen === 2) await frozen.promise;
      });
      const ids = await servers(first, 'node1', 3);
      const { id } = await begin(first, { kind: 'drain', hosts: ['node1'], reason: 'r' });
      await until(async () => seen >= 2);
      const silence = () =>
        database.db
          .updateTable('executor')
          .set({ heartbeat_at: new Date(0) })
          .where('name', '=', 'c1')
          .execute();
      await silence();
      const second = await cloud.controller('c2');
      await until(async () => {
        await silence();
        return (await second.fleet.show(id)).finishedAt !== null;
      });
      const operation = await second.fleet.show(id);
      expect([operation.state, operation.counts.done, operation.hosts[0]?.step]).toEqual(['completed', 3, 'empty']);
      frozen.resolve();
      await until(async () => first.idle());
      expect(await second.fleet.show(id)).toEqual(operation);
      expect((await database.db.selectFrom('migration').select('id').execute()).length).toBe(3);
      await consistent(ids);
    },
  );

  it('is written by nobody but its newest run: one that wakes in the middle begins nothing and spoils nothing', async () => {
    const frozen = Promise.withResolvers<void>();
    let decided = false;
    const first = await cloud.controller('c1', async (name) => {
      if (name !== 'fleet:decided' || decided) return;
      decided = true;
      await frozen.promise;
    });
    const ids = await servers(first, 'node1', 2);
    const { id } = await begin(first, { kind: 'bulk', select: { host: 'node1' } });
    await until(async () => decided);
    const silence = () =>
      database.db
        .updateTable('executor')
        .set({ heartbeat_at: new Date(0) })
        .where('name', '=', 'c1')
        .execute();
    await silence();
    for (const host of cloud.hosts) host.copyRounds = null;
    const second = await cloud.controller('c2');
    await until(async () => {
      await silence();
      return (await second.fleet.show(id)).counts.moving === 1;
    });
    frozen.resolve();
    // The migration itself may be its own: it lives.
    await until(async () => first.idle('fleet-operation'));
    // What it had decided would be refused now, and the item called failed.
    expect((await second.fleet.show(id)).counts).toMatchObject({ moving: 1, waiting: 1, failed: 0 });
    for (const host of cloud.hosts) host.copyRounds = 1;
    expect((await ended(second, id)).state).toBe('completed');
    await consistent(ids);
  });

  it('goes on past a failure, and retries what failed alone', async () => {
    const engine = await cloud.controller('c1');
    const ids = await servers(engine, 'node1', 3);
    const node1 = fakeHostNamed('node1');
    node1.faults.push({ call: 'startOutgoing', when: 'before', error: refusal('Internal', 'out of luck') });
    const { id } = await begin(engine, { kind: 'bulk', select: { host: 'node1' } });
    const operation = await ended(engine, id);
    expect([operation.state, operation.counts.done, operation.counts.failed]).toEqual(['incomplete', 2, 1]);
    const failed = operation.items.find(({ state }) => state === 'failed');
    expect(failed?.cause?.sentence).toContain('out of luck');
    await engine.fleet.command(cloud.admin, id, 'retry');
    const again = await ended(engine, id);
    expect([again.state, again.items.map(({ attempt }) => attempt).toSorted()]).toEqual(['completed', [1, 1, 2]]);
    await consistent(ids);
  });
});

describe('the API', () => {
  it('answers by its schemas, and refuses what is not there, empty, taken, ended or not allowed, with codes and nothing changed', async () => {
    const engine = await cloud.controller('c1');
    const [id, other] = (await servers(engine, 'node1', 2)) as [ServerId, ServerId];
    const api = await startTestApi(database.db, {
      more: async (app, context) =>
        void (await app.register(
          async (scope) => godwitPlugin(scope, { ...context, fleet: engine.fleet, config: {} } as unknown as AppContext),
          { prefix: '/godwit/v1' },
        )),
    });
    const member = await api.user('member');
    const call = async (method: 'GET' | 'POST', path: string, body?: object, as = api.admin) => {
      const answer = await api.call(method, `/godwit/v1${path}`, { as, ...(body === undefined ? {} : { body }) });
      return { status: answer.statusCode, json: answer.json<Record<string, never> & { error?: { code: string; message: string } }>() };
    };
    const refused = async (path: string, body: object | undefined, status: number, code: string) => {
      const { status: told, json } = await call('POST', path, body);
      expect([path, body, told, json.error?.code]).toEqual([path, body, status, code]);
    };
    for (const [method, path] of [
      ['POST', '/plans'],
      ['POST', '/operations'],
      ['GET', '/operations'],
      ['GET', `/operations/${randomUUID()}`],
      ['POST', `/operations/${randomUUID()}/abort`],
      ['GET', '/balance'],
    ] as const)
      expect([path, (await call(method, path, method === 'POST' ? {} : undefined, member)).status]).toEqual([path, 403]);
    await refused('/plans', { select: { host: 'nowhere' } }, 400, 'HostNotFound');
    await refused('/plans', { select: { host: 'node3' } }, 400, 'BadRequest');
    await refused('/plans', { select: { servers: [] } }, 400, 'SchemaViolation');
    await refused('/plans', { select: { servers: [randomUUID()] } }, 404, 'ServerNotFound');
    await refused('/plans', { select: { host: 'node1', project: 'p1' } }, 400, 'SchemaViolation');
    await refused('/plans', { select: { host: 'node1' }, pins: [{ server: randomUUID(), host: 'node2' }] }, 400, 'BadRequest');
    await refused('/operations', { kind: 'teleport' }, 400, 'SchemaViolation');
    await refused('/operations', { kind: 'bulk', select: { host: 'node3' } }, 400, 'BadRequest');
    await refused('/operations', { kind: 'bulk', items: [{ server: id }, { server: id }] }, 400, 'BadRequest');
    await refused('/operations', { kind: 'bulk', items: [{ server: id, pinned: true }] }, 400, 'BadRequest');
    await refused('/operations', { kind: 'drain', hosts: ['node1'] }, 400, 'SchemaViolation');
    await refused('/operations', { kind: 'drain', hosts: ['node1', 'nowhere'], reason: 'r' }, 400, 'HostNotFound');
    await refused('/operations', { kind: 'evacuate', host: 'node1' }, 409, 'Conflict');
    await refused(`/operations/${randomUUID()}/abort`, undefined, 404, 'NotFound');
    await refused('/operations/7/abort', undefined, 404, 'NotFound');
    expect((await call('GET', '/operations?state=odd')).status).toBe(400);
    await database.db.updateTable('host').set({ forced_down: true }).where('name', '=', 'node2').execute();
    await refused('/operations', { kind: 'drain', hosts: ['node2'], reason: 'r' }, 409, 'SourceServiceDown');
    await database.db.updateTable('host').set({ forced_down: false }).where('name', '=', 'node2').execute();
    expect(await database.db.selectFrom('fleet_operation').select('id').execute()).toEqual([]);
    expect((await hostRow('node1')).enabled).toBe(true);

    const plan = await call('POST', '/plans', { select: { servers: [id, other] }, pins: [{ server: id, host: 'node2' }], parallel: 2 });
    expect([plan.status, violation(PlanAnswer, plan.json)]).toEqual([200, null]);
    expect((plan.json as unknown as { plan: Plan }).plan.items.find(({ server }) => server.id === id)).toMatchObject({
      pinned: true,
      destination: { name: 'node2' },
    });
    const advice = await call('GET', '/balance');
    expect([advice.status, violation(BalanceAnswer, advice.json)]).toEqual([200, null]);
    for (const host of cloud.hosts) host.copyRounds = null;
    const begun = await call('POST', '/operations', { kind: 'drain', hosts: ['node1'], reason: 'r' });
    expect([begun.status, violation(OperationAnswer, begun.json)]).toEqual([202, null]);
    const operation = (begun.json as unknown as { operation: { id: string } }).operation.id;
    await refused('/operations', { kind: 'drain', hosts: ['node1'], reason: 'r' }, 409, 'Conflict');
    await refused('/operations', { kind: 'bulk', select: { host: 'node1' } }, 409, 'Conflict');
    await refused('/operations', { kind: 'bulk', items: [{ server: other }] }, 409, 'Conflict');
    await refused('/operations', { kind: 'restore', host: 'node1' }, 409, 'Conflict');
    await refused(`/operations/${operation}/hosts/node1/done`, undefined, 409, 'Conflict');
    await refused(`/operations/${operation}/hosts/node2/done`, undefined, 404, 'NotFound');
    await refused(`/operations/${operation}/abort`, { now: true }, 400, 'SchemaViolation');
    const list = await call('GET', '/operations?state=open&host=node1&kind=drain');
    expect([list.status, violation(OperationsAnswer, list.json)]).toEqual([200, null]);
    expect((await call('POST', `/operations/${operation}/abort`)).status).toBe(202);
    for (const host of cloud.hosts) host.copyRounds = 1;
    await ended(engine, operation);
    await refused(`/operations/${operation}/abort`, undefined, 409, 'Conflict');
    const events = await database.db.selectFrom('event').select('data').where('kind', '=', 'operation').execute();
    expect(events.length).toBeGreaterThan(0);
    for (const { data } of events) expect(violation(OperationEvent, (data as { admin: object }).admin)).toBeNull();
    expect(api.unexpected).toEqual([]);
  });
});
