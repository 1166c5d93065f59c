import { randomUUID } from 'node:crypto';
import { as, type ServerId } from '@godwit/domain/ids';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { addMember, removeMember } from '../accept/change-membership.ts';
import type { Engine } from '../engine.ts';
import type { CreateServers } from '../operations.ts';
import { runningCopies } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let engine: Engine;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database, ['node1', 'node2', 'node3', 'node4']);
  engine = await cloud.controller('c1');
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

const caller = () => ({ ...cloud.admin, requestId: `req-${randomUUID()}` });
const server = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const record = (id: string) => database.db.selectFrom('migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const hostOf = async (id: string): Promise<string> => {
  const { host_id } = await server(id);
  return cloud.hosts.find((host) => host.id === host_id)?.name ?? 'nowhere';
};
const newGroup = async (policy: 'affinity' | 'anti-affinity' | 'soft-affinity' | 'soft-anti-affinity', max: number | null = null) => {
  const id = randomUUID();
  await database.db
    .insertInto('server_group')
    .values({ id, name: 'web', policy, max_server_per_host: max, project_id: cloud.admin.projectId, user_id: 'u' })
    .execute();
  return id;
};
const create = (group: string, count = 1, host: string | null = null) => createWith({ group }, count, host);
const createWith = async (hints: CreateServers['hints'], count = 1, host: string | null = null): Promise<readonly ServerId[]> => {
  const { serverIds } = await engine.operations.create(caller(), {
    name: 's',
    description: null,
    imageId: cloud.imageId,
    flavorId: cloud.flavorId,
    minCount: count,
    maxCount: count,
    networks: 'none',
    availabilityZone: null,
    host,
    metadata: {},
    tags: [],
    keyName: null,
    userData: null,
    configDrive: false,
    diskConfig: 'AUTO',
    hints,
  });
  for (const id of serverIds) await until(async () => (await server(id)).task_state === null);
  return serverIds;
};
const live = async (id: ServerId, host: string | null = null, force = false) => {
  const move = await engine.operations.liveMigrate(caller(), id, { host, blockMigration: 'auto', force, checksBeforeAnswer: false });
  await until(async () => (await record(move)).finished_at !== null);
  return record(move);
};
const cold = async (id: ServerId, host: string | null = null) => {
  const move = await engine.operations.migrate(caller(), id, { host });
  await until(async () => (await server(id)).task_state === null);
  return record(move);
};
const placedApart = async (ids: readonly string[], limit = 1): Promise<void> => {
  const rows = await database.db
    .selectFrom('allocation')
    .select(['host_id', 'server_id'])
    .where('server_id', 'in', [...ids])
    .execute();
  for (const here of Map.groupBy(rows, ({ host_id }) => host_id).values()) expect(here.length).toBeLessThanOrEqual(limit);
};

describe('anti-affinity', () => {
  it('holds in a multi-create, a named host and every kind of move; force and 2.25 are no way around it', async () => {
    const group = await newGroup('anti-affinity');
    const ids = await create(group, 5);
    const states = await Promise.all(ids.map(async (id) => (await server(id)).vm_state));
    expect(states.toSorted()).toEqual(['active', 'active', 'active', 'active', 'error']);
    const [a, b] = ids.filter((_, index) => states[index] === 'active') as [ServerId, ServerId];
    const failed = await server(ids[states.indexOf('error')] ?? '');
    expect(failed.fault).toMatchObject({ message: 'No valid host was found. There are not enough hosts available.' });
    const taken = await hostOf(b);
    for (const force of [false, true])
      expect(await live(a, taken, force)).toMatchObject({ status: 'error', outcome: { cause: 'NoValidHost', runsOn: 'source' } });
    await expect(
      engine.operations.liveMigrate(caller(), a, { host: taken, blockMigration: 'auto', force: false, checksBeforeAnswer: true }),
    ).rejects.toMatchObject({ code: 'NoValidHost' });
    const refused = await cold(a, taken);
    expect(refused).toMatchObject({ status: 'error', outcome: { cause: 'NoValidHost' } });
    expect(refused.outcome?.evidence.join()).toContain('anti-affinity: server');
    // A resize is a move too: it ends where no other host is left, with the flavor as it was.
    await database.db
      .insertInto('flavor')
      .values({
        id: 'f2',
        name: 'larger',
        vcpus: 1,
        ram_mib: 1024,
        disk_gib: 1,
        extra_specs: JSON.stringify({ 'godwit:storage': 'shared' }),
      })
      .execute();
    const resized = await engine.operations.resize(caller(), a, { flavorId: 'f2' });
    await until(async () => (await server(a)).task_state === null);
    expect(await record(resized)).toMatchObject({ type: 'resize', status: 'error', outcome: { cause: 'NoValidHost' } });
    expect((await record(resized)).outcome?.evidence.join()).toContain('anti-affinity: server');
    expect(await server(a)).toMatchObject({ vm_state: 'active', flavor_id: 'f1' });
    await placedApart(ids);

    // The override: out, moved, and in again where it then is.
    await removeMember(database.db, caller(), group, a);
    expect(await live(a, taken)).toMatchObject({ status: 'completed' });
    await addMember(database.db, caller(), group, a);
    expect([await hostOf(a), await hostOf(b)]).toEqual([taken, taken]);
  }, 60_000);

  it('lets max_server_per_host members share one', async () => {
    const group = await newGroup('anti-affinity', 2);
    const ids = await create(group, 2, 'node1');
    expect(await Promise.all(ids.map(hostOf))).toEqual(['node1', 'node1']);
    const [third] = await create(group, 1, 'node1');
    expect(await server(third ?? '')).toMatchObject({ vm_state: 'error' });
  }, 60_000);

  it('holds when live and cold moves of all members want one host at once', async () => {
    const group = await newGroup('anti-affinity');
    const ids = [...(await create(group, 1, 'node1')), ...(await create(group, 1, 'node2')), ...(await create(group, 1, 'node3'))];
    const moves = await Promise.all(ids.map((id, index) => (index % 2 === 0 ? live(id, 'node4') : cold(id, 'node4'))));
    expect(moves.filter(({ status }) => status === 'completed' || status === 'finished')).toHaveLength(1);
    expect(moves.filter(({ outcome }) => outcome?.cause === 'NoValidHost')).toHaveLength(2);
    await placedApart(ids);
    for (const id of ids) expect(runningCopies(cloud.hosts, id)).toBe(1);
  }, 60_000);
});

describe('affinity', () => {
  it('keeps members together; no single one leaves, by itself or by name', async () => {
    const group = await newGroup('affinity');
    const ids = await create(group, 3);
    expect(new Set(await Promise.all(ids.map(hostOf))).size).toBe(1);
    const id = ids[0] ?? as<ServerId>('');
    const elsewhere = (await hostOf(id)) === 'node4' ? 'node3' : 'node4';
    for (const move of [await live(id), await live(id, elsewhere, true), await cold(id)])
      expect(move).toMatchObject({ status: 'error', outcome: { cause: 'NoValidHost' } });
  }, 60_000);
});

describe('a group that is deleted', () => {
  it('binds its members no more', async () => {
    const group = await newGroup('affinity');
    const [a] = await create(group, 2, 'node1');
    const id = a ?? as<ServerId>('');
    expect(await live(id)).toMatchObject({ outcome: { cause: 'NoValidHost' } });
    await database.db.updateTable('server_group').set({ deleted_at: new Date() }).where('id', '=', group).execute();
    expect(await live(id)).toMatchObject({ status: 'completed' });
  }, 60_000);
});

describe('hints', () => {
  it('same_host and different_host name servers to be with and to stay away from, when it is made and in every move, by name of a host too', async () => {
    const [anchor = as<ServerId>('')] = await createWith({}, 1, 'node3');
    const [near = as<ServerId>(''), far = as<ServerId>('')] = [
      ...(await createWith({ same_host: [anchor] })),
      ...(await createWith({ different_host: [anchor] }, 1, 'node2')),
    ];
    expect(await hostOf(near)).toBe('node3');
    const [refused = as<ServerId>('')] = await createWith({ different_host: [anchor] }, 1, 'node3');
    expect(await server(refused)).toMatchObject({ vm_state: 'error' });
    for (const move of [await live(near), await live(far, 'node3', true), await cold(far, 'node3')])
      expect(move).toMatchObject({ status: 'error', outcome: { cause: 'NoValidHost' } });
    expect(await live(far, 'node1')).toMatchObject({ status: 'completed' });
    // A server that is not there is nowhere: nothing is with it, and everything apart from it.
    const nobody = randomUUID();
    const [alone = as<ServerId>(''), apart = as<ServerId>('')] = [
      ...(await createWith({ same_host: [nobody] })),
      ...(await createWith({ different_host: [nobody] })),
    ];
    expect([await server(alone), await server(apart)]).toMatchObject([{ vm_state: 'error', host_id: null }, { vm_state: 'active' }]);
    // One that has gone since binds nobody.
    await database.db.updateTable('server').set({ deleted_at: new Date() }).where('id', '=', anchor).execute();
    expect(await live(near)).toMatchObject({ status: 'completed' });
  }, 60_000);
});

describe('soft policies', () => {
  it('are kept before any load, and give way when nothing else passes', async () => {
    const soft = await newGroup('soft-affinity');
    // The host with the member is the fuller one: load alone would choose another.
    const together = [...(await create(soft, 1, 'node2')), ...(await create(soft, 2))];
    expect(await Promise.all(together.map(hostOf))).toEqual(['node2', 'node2', 'node2']);
    const apart = await newGroup('soft-anti-affinity');
    const spread = await create(apart, 4);
    expect(new Set(await Promise.all(spread.map(hostOf))).size).toBe(4);
    const [fifth] = await create(apart);
    expect(await server(fifth ?? '')).toMatchObject({ vm_state: 'active' });
  }, 60_000);
});
