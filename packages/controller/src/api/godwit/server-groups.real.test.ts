import { randomUUID } from 'node:crypto';
import { ServerGroupAnswer, ServerGroupsAnswer } from '@godwit/contract/schemas/godwit/server-groups';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AppContext } from '../../app-context.ts';
import type { ServerTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { violation } from '../json-body.ts';
import { startTestApi, type TestApi, type TestUser } from '../test-api.ts';
import { godwitPlugin } from './plugin.ts';

let server: TestServer;
let api: TestApi;
let db: Db;
let owner: TestUser;
const hosts: Record<string, string> = {};
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  db = (await server.database()).db;
  const ratios = { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 };
  api = await startTestApi(db, {
    more: async (app, context) =>
      void (await app.register(
        async (scope) => godwitPlugin(scope, { ...context, config: { ...context.config, ...ratios } } as unknown as AppContext),
        { prefix: '/godwit/v1' },
      )),
  });
  owner = await api.user('member');
  for (const name of ['node1', 'node2']) {
    const id = (hosts[name] = randomUUID());
    const facts = JSON.stringify(factsFixture({}));
    await db
      .insertInto('host')
      .values({ id, name, hypervisor_type: 'QEMU', address: '10.0.0.1', rpc_port: 1, reachable: true, facts })
      .execute();
  }
});

const newServer = async (name: string, host: string | null, over: Partial<Record<keyof ServerTable, unknown>> = {}): Promise<string> => {
  const id = randomUUID();
  const flavor = { name: 'f', vcpus: 1, ram_mib: 64, disk_gib: 0, ephemeral_gib: 0, swap_mib: 0, extra_specs: {} };
  await db
    .insertInto('server')
    .values({
      id,
      name,
      hostname: name,
      project_id: owner.projectId,
      user_id: owner.userId,
      vm_state: 'active',
      task_state: null,
      host_id: host === null ? null : (hosts[host] ?? ''),
      flavor_id: 'f',
      flavor: JSON.stringify(flavor),
      reservation_id: 'r',
      ...(over as object),
    })
    .execute();
  return id;
};
const newGroup = async (policy: string, ...members: string[]): Promise<string> => {
  const answer = await api.call('POST', '/compute/v2.1/os-server-groups', {
    as: owner,
    microversion: '2.64',
    body: { server_group: { name: 'web', policy } },
  });
  const id = answer.json().server_group.id as string;
  for (const member of members) await db.insertInto('server_group_member').values({ group_id: id, server_id: member }).execute();
  return id;
};
const call = (method: 'GET' | 'POST' | 'DELETE', path: string, as: TestUser, body?: object) =>
  api.call(method, `/godwit/v1/server-groups${path}`, { as, ...(body === undefined ? {} : { body }) });
const membership = async (group: string): Promise<readonly string[]> =>
  (await db.selectFrom('server_group_member').select('server_id').where('group_id', '=', group).execute()).map((row) => row.server_id);
/** Everything that the override may not touch. */
const placed = () => db.selectFrom('server').select(['id', 'host_id', 'vm_state', 'task_state', 'updated_at']).orderBy('id').execute();

describe('server groups with what is not as the policy says', () => {
  it('tell an admin where members run, and an owner only what is wrong', async () => {
    const [a, b] = [await newServer('a', 'node1'), await newServer('b', 'node1')];
    const id = await newGroup('anti-affinity', a, b);
    const told = (await call('GET', `/${id}`, api.admin)).json();
    expect(violation(ServerGroupAnswer(true), told)).toBeNull();
    expect(told.serverGroup).toMatchObject({
      policy: 'anti-affinity',
      maxServerPerHost: null,
      projectId: owner.projectId,
      members: [
        { id: a, name: 'a', status: 'ACTIVE', taskState: null, host: { name: 'node1' } },
        { id: b, host: { name: 'node1' } },
      ],
      violations: [{ code: 'AntiAffinity', sentence: 'anti-affinity: a, b run on node1, 1 per host at most', serverIds: [a, b] }],
    });
    const mine = await call('GET', `/${id}`, owner);
    expect(violation(ServerGroupAnswer(false), mine.json())).toBeNull();
    expect(mine.json().serverGroup.violations).toMatchObject([{ sentence: 'anti-affinity: a, b run on one host, 1 per host at most' }]);
    expect(mine.body).not.toContain('node1');
    expect(mine.body).not.toContain(hosts['node1']);
    const lists = [(await call('GET', '', api.admin)).json(), (await call('GET', '', owner)).json()];
    expect(lists.map((list, index) => violation(ServerGroupsAnswer(index === 0), list))).toEqual([null, null]);
    expect(lists.map((list) => list.serverGroups.length)).toEqual([1, 1]);
  });

  it('show no group of another project, and no server or group that is deleted', async () => {
    const gone = await newServer('gone', 'node1', { deleted_at: new Date() });
    const id = await newGroup('affinity', gone, await newServer('a', 'node1'));
    const stranger = await api.user('member');
    expect((await call('GET', `/${id}`, stranger)).statusCode).toBe(404);
    expect((await call('GET', '', stranger)).json()).toEqual({ serverGroups: [] });
    expect((await call('GET', `/${id}`, owner)).json().serverGroup.members).toMatchObject([{ name: 'a' }]);
    await api.call('DELETE', `/compute/v2.1/os-server-groups/${id}`, { as: owner });
    expect((await call('GET', `/${id}`, owner)).statusCode).toBe(404);
  });
});

describe('the override of a hard rule', () => {
  it('takes a server out and puts it back where it is, by its owner; nothing moves, the violation is told', async () => {
    const [a, b] = [await newServer('a', 'node1'), await newServer('b', 'node1')];
    const id = await newGroup('anti-affinity', a);
    const before = await placed();
    const added = await call('POST', `/${id}/members/${b}`, owner);
    expect(added.statusCode).toBe(200);
    expect(violation(ServerGroupAnswer(false), added.json())).toBeNull();
    expect(added.json().serverGroup.violations).toMatchObject([{ code: 'AntiAffinity', serverIds: [a, b] }]);
    // Once more, with an empty object: it is a member already.
    expect((await call('POST', `/${id}/members/${b}`, owner, {})).statusCode).toBe(200);
    expect(await membership(id)).toHaveLength(2);
    expect((await call('DELETE', `/${id}/members/${b}`, owner)).statusCode).toBe(204);
    expect((await call('GET', `/${id}`, owner)).json().serverGroup).toMatchObject({ members: [{ id: a }], violations: [] });
    expect((await call('POST', `/${id}/members/${b}`, api.admin)).statusCode).toBe(200);
    expect(await placed()).toEqual(before);
  });

  it('409 while the server has a task, 404 for what is not there, 403 for a reader; nothing changed', async () => {
    const [a, busy] = [await newServer('a', 'node1'), await newServer('busy', 'node1', { task_state: 'migrating' })];
    const id = await newGroup('affinity', busy, a);
    const reader = await api.user('reader', owner.projectId);
    const stranger = await api.user('member');
    const gone = await newServer('gone', 'node1', { deleted_at: new Date() });
    const outside = await newServer('outside', 'node1');
    const busyOutside = await newServer('busy-outside', 'node1', { task_state: 'resize_prep' });
    const theirs = await newServer('theirs', 'node1', { project_id: stranger.projectId });
    const before = await membership(id);
    const expectRefused = async (method: 'POST' | 'DELETE', path: string, as: TestUser, status: number, code: string, body?: object) => {
      const answer = await call(method, path, as, body);
      expect([path, answer.statusCode, answer.json().error.code]).toEqual([path, status, code]);
    };
    await expectRefused('DELETE', `/${id}/members/${busy}`, owner, 409, 'Conflict');
    await expectRefused('DELETE', `/${id}/members/${busy}`, api.admin, 409, 'Conflict');
    await expectRefused('POST', `/${id}/members/${busyOutside}`, owner, 409, 'Conflict');
    await expectRefused('DELETE', `/${id}/members/${outside}`, owner, 404, 'NotFound');
    await expectRefused('DELETE', `/${id}/members/${gone}`, owner, 404, 'ServerNotFound');
    await expectRefused('POST', `/${id}/members/${randomUUID()}`, owner, 404, 'ServerNotFound');
    await expectRefused('POST', `/${id}/members/x`, owner, 404, 'ServerNotFound');
    await expectRefused('POST', `/${id}/members/${theirs}`, owner, 404, 'ServerNotFound');
    await expectRefused('POST', `/${id}/members/${theirs}`, api.admin, 409, 'Conflict');
    await expectRefused('POST', `/${randomUUID()}/members/${outside}`, owner, 404, 'NotFound');
    await expectRefused('DELETE', `/x/members/${a}`, owner, 404, 'NotFound');
    await expectRefused('DELETE', `/${id}/members/${a}`, stranger, 404, 'NotFound');
    await expectRefused('DELETE', `/${id}/members/${a}`, reader, 403, 'Forbidden');
    await expectRefused('POST', `/${id}/members/${outside}`, reader, 403, 'Forbidden');
    await expectRefused('POST', `/${id}/members/${outside}`, owner, 400, 'SchemaViolation', { force: true });
    expect((await api.call('DELETE', `/godwit/v1/server-groups/${id}/members/${a}`, { as: null })).statusCode).toBe(401);
    expect(await membership(id)).toEqual(before);
    expect((await call('GET', `/${id}`, reader)).statusCode).toBe(200);
    expect(api.unexpected).toEqual([]);
  });

  it('one group per server, also when two ask at once', async () => {
    const lone = await newServer('lone', 'node1');
    const [first, second] = [await newGroup('affinity'), await newGroup('anti-affinity')];
    // The server is held until both requests wait for it: neither has seen the other then.
    const { asked: codes } = await db.transaction().execute(async (tx) => {
      await tx.selectFrom('server').select('id').where('id', '=', lone).forUpdate().execute();
      const asked = [first, second].map(async (id) => (await call('POST', `/${id}/members/${lone}`, owner)).statusCode);
      const waiting = async (): Promise<number> =>
        (await sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(db)).rows.length;
      for (const until = Date.now() + 15_000; (await waiting()) < 2; )
        if (Date.now() > until) throw new Error('the requests do not wait for the server');
      return { asked };
    });
    const answers = await Promise.all(codes);
    expect(answers.toSorted()).toEqual([200, 409]);
    const rows = await db.selectFrom('server_group_member').selectAll().where('server_id', '=', lone).execute();
    expect(rows).toHaveLength(1);
  });
});
