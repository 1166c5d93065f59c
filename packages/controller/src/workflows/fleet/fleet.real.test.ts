import { randomUUID } from 'node:crypto';
import type { NewOperation } from '@godwit/contract/schemas/godwit/fleet-requests';
import { as, type ServerId } from '@godwit/domain/ids';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import { runningCopies } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';

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
