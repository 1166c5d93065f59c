import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { postCopyRefusal } from '@godwit/domain/convergence/policy';
import type { MigrationId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { AppContext } from '../../app-context.ts';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../../workflows/engine.ts';
import { fakeAgents } from '../../workflows/testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../../workflows/testing/fake-cloud.ts';
import { startTestApi, type TestApi } from '../test-api.ts';
import { godwitPlugin } from './plugin.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let engine: Engine;
let api: TestApi;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
  engine = await cloud.controller('c1');
  const ratios = { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 };
  api = await startTestApi(database.db, {
    operations: engine.operations,
    agents: fakeAgents(cloud.hosts),
    more: async (app, context) =>
      void (await app.register(
        async (scope) => godwitPlugin(scope, { ...context, config: { ...context.config, ...ratios } } as unknown as AppContext),
        { prefix: '/godwit/v1' },
      )),
  });
});
afterEach(async () => {
  await api.app.close();
  await cloud.stop();
  await database.close();
});

const base = '/godwit/v1';
const answer = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) => {
  const response = await api.call(method, `${base}${path}`, body === undefined ? {} : { body });
  return { status: response.statusCode, body: response.body === '' ? null : response.json() };
};

it('migration policies: set, shown with their fields, refused with a sentence, taken away; for admins', async () => {
  expect((await answer('PUT', '/migration-policies/default', { policy: { largestBlackoutMs: 300 } })).status).toBe(200);
  expect((await answer('PUT', `/migration-policies/${api.admin.projectId}`, { policy: { whenNotConverging: 'pause' } })).status).toBe(200);
  const { body } = await answer('GET', '/migration-policies');
  expect(body.policies.map(({ scope }: { scope: string }) => scope).toSorted()).toEqual([api.admin.projectId, 'default'].toSorted());
  expect(body.effectiveDefault).toMatchObject({ largestBlackoutMs: 300, from: { largestBlackoutMs: 'default', deadlineMs: 'built-in' } });
  expect(body.fields).toContainEqual({
    name: 'slowDownPercent',
    extraSpec: 'godwit:slow_down_percent',
    default: 0,
    allowed: 'a whole number from 0 to 99',
  });
  for (const bad of [{ largestBlackoutMs: 1 }, { patience: 3 }, { postCopyAllowed: 'yes' }])
    expect((await answer('PUT', '/migration-policies/default', { policy: bad })).status).toBe(400);
  expect((await answer('PUT', '/migration-policies/default', { policy: { largestBlackoutMs: 1 } })).body.error).toMatchObject({
    code: 'SchemaViolation',
    message: '"largestBlackoutMs" must be a whole number from 50 to 600000.',
  });
  // Nobody may ask for post-copy, and nobody is told that it was taken.
  const unsafe = { code: 'PostCopyUnsafe', message: postCopyRefusal.sentence };
  for (const [method, path] of [
    ['PUT', '/migration-policies/default'],
    ['POST', `/servers/${randomUUID()}/live-migrations`],
  ] as const) {
    const refused = await answer(method, path, { policy: { postCopyAllowed: true } });
    expect([refused.status, refused.body.error]).toEqual([400, expect.objectContaining(unsafe)]);
  }
  expect((await answer('GET', '/migration-policies')).body.effectiveDefault.postCopyAllowed).toBe(false);
  expect((await answer('PUT', '/migration-policies/nobody', { policy: {} })).status).toBe(404);
  expect((await answer('DELETE', '/migration-policies/default')).status).toBe(204);
  expect((await answer('DELETE', '/migration-policies/default')).status).toBe(404);
  const member = await api.user('member');
  for (const path of ['/migration-policies', '/stuck', '/predictions/score'])
    expect((await api.call('GET', `${base}${path}`, { as: member })).statusCode).toBe(403);
});

it("a flavor's policy is checked when it is set", async () => {
  const set = (specs: object) =>
    api.call('POST', `/compute/v2.1/flavors/${cloud.flavorId}/os-extra_specs`, { body: { extra_specs: specs } });
  const refused = await set({ 'godwit:deadline_ms': 'soon' });
  expect(refused.statusCode).toBe(400);
  expect(refused.json().badRequest.message).toBe('Extra spec "godwit:deadline_ms" must be a whole number from 1000 to 86400000.');
  const asked = await set({ 'godwit:post_copy_allowed': 'true' });
  expect([asked.statusCode, asked.json().badRequest.message]).toEqual([400, postCopyRefusal.sentence]);
  expect((await set({ 'godwit:deadline_ms': '5000', 'other:key': 'soon' })).statusCode).toBe(200);
});

it('policies and flavors of earlier versions no longer ask for post-copy, and keep the rest', async () => {
  const { db } = database;
  const policy = JSON.stringify({ deadlineMs: 5_000, postCopyAllowed: true });
  await db
    .insertInto('migration_policy')
    .values({ scope: 'default', policy, updated_by: api.admin.userId, updated_at: new Date() })
    .execute();
  const specs = (allowed: string) => JSON.stringify({ 'godwit:post_copy_allowed': allowed, 'other:key': 'x' });
  await db
    .updateTable('flavor')
    .set({ extra_specs: specs('true') })
    .where('id', '=', cloud.flavorId)
    .execute();
  const step = readFileSync(new URL('../../store/migrations/0311-no-post-copy.sql', import.meta.url), 'utf8');
  for (const statement of step.split(';')) if (statement.trim() !== '') await sql.raw(statement).execute(db);
  expect((await db.selectFrom('migration_policy').select('policy').executeTakeFirstOrThrow()).policy).toEqual({ deadlineMs: 5_000 });
  const flavor = db.selectFrom('flavor').select('extra_specs').where('id', '=', cloud.flavorId);
  expect((await flavor.executeTakeFirstOrThrow()).extra_specs).toEqual({ 'other:key': 'x' });
});

it('a live migration with a policy of its own, capped and forced while it runs; predicted before, scored after', async () => {
  const [source] = cloud.hosts;
  if (source === undefined) throw new Error('no host');
  const id = await cloud.server(engine, 'node1');
  const predicted = await answer('GET', `/servers/${id}/prediction?destination=node2`);
  expect(predicted.body).toMatchObject({
    destination: { name: 'node2' },
    prediction: { verdict: 'unknown' },
    policy: { deadlineMs: 1_800_000 },
  });
  expect((await answer('GET', `/servers/${id}/prediction?destination=nowhere`)).body.error.code).toBe('HostNotFound');
  source.copyRounds = null;
  for (const bad of [{ policy: { deadlineMs: 5 } }, { host: 5 }, { more: 1 }, { maxBandwidthBytes: 10 }])
    expect((await answer('POST', `/servers/${id}/live-migrations`, bad)).status).toBe(400);
  expect((await answer('POST', `/servers/${id}/live-migrations`, { host: 'nowhere' })).body.error.code).toBe('HostNotFound');
  const accepted = await answer('POST', `/servers/${id}/live-migrations`, {
    host: 'node2',
    policy: { largestBlackoutMs: 100 },
    maxBandwidthBytes: 60_000_000,
  });
  expect(accepted.status).toBe(202);
  const move = accepted.body.migration.id as MigrationId;
  const record = async () => (await answer('GET', `/migrations/${move}`)).body.migration;
  await until(async () => (await record()).phase === 'copying' && source.policies.length > 0);
  expect(await record()).toMatchObject({
    policy: { largestBlackoutMs: 100, from: { largestBlackoutMs: 'request' } },
    maxBandwidthBytes: 60_000_000,
    prediction: { verdict: 'converges' },
    attempts: [],
    overdue: null,
  });
  expect((await answer('PATCH', `/migrations/${move}`, { maxBandwidthBytes: 1 })).status).toBe(400);
  expect((await answer('PATCH', `/migrations/${move}`, { maxBandwidthBytes: null })).status).toBe(200);
  expect((await answer('PATCH', `/migrations/${move}`, {})).status).toBe(400);
  const changed = await answer('PATCH', `/migrations/${move}`, { policy: { largestBlackoutMs: 4_000, slowDownPercent: 60 } });
  expect(changed.status).toBe(200);
  expect(changed.body.migration.policy).toMatchObject({ largestBlackoutMs: 4_000, slowDownPercent: 60 });
  await until(async () => source.policies.at(-1)?.largestBlackoutMs === 4_000n && source.policies.at(-1)?.slowDownPercent === 60);
  expect((await answer('PATCH', `/migrations/${move}`, { policy: { slowDownPercent: 100 } })).status).toBe(400);
  const asked = await answer('PATCH', `/migrations/${move}`, { policy: { postCopyAllowed: true } });
  expect([asked.status, asked.body.error.code]).toEqual([400, 'PostCopyUnsafe']);
  await until(async () => source.policies.at(-1)?.maxBandwidthBytes === 0n);
  expect((await answer('PATCH', '/hosts/node1', { migrationBandwidthBytes: 30_000_000 })).body.host.migrationBandwidthBytes).toBe(
    30_000_000,
  );
  await until(async () => source.policies.at(-1)?.maxBandwidthBytes === 30_000_000n);
  for (const _ of ['asked', 'asked again']) expect((await answer('POST', `/migrations/${move}/force-complete`)).status).toBe(202);
  await until(async () => (await record()).finishedAt !== null);
  // Somebody interfered: its end says nothing about the prediction.
  expect(await record()).toMatchObject({ status: 'completed', predictionScore: null });
  expect((await answer('POST', `/migrations/${move}/force-complete`)).status).toBe(409);
  source.copyRounds = 1;
  const back = await answer('POST', `/servers/${id}/live-migrations`, { host: 'node3', maxBandwidthBytes: 60_000_000 });
  await until(async () => (await answer('GET', `/migrations/${back.body.migration.id}`)).body.migration.finishedAt !== null);
  expect((await answer('GET', '/predictions/score')).body).toMatchObject({
    promised: { coverage: 0.9 },
    score: { moves: 1, duration: { scored: 1 } },
  });
  expect((await answer('GET', '/stuck')).body).toMatchObject({ problems: [] });
});
