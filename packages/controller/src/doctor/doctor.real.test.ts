import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finding } from '@godwit/domain/doctor/finding';
import type { HostId } from '@godwit/domain/ids';
import { openRecentLog } from '@godwit/telemetry/recent-log';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Agents } from '../agents/agents.ts';
import { routeDocs } from '../api/godwit/route-docs.ts';
import { violation } from '../api/json-body.ts';
import { buildApp } from '../app.ts';
import type { AppContext } from '../app-context.ts';
import { bootstrapIdentity } from '../auth/bootstrap.ts';
import { resolveConfig } from '../config/load-config.ts';
import { createLog, recentLogFile } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import type { Engine } from '../workflows/engine.ts';
import { fakeAgents, silence } from '../workflows/testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, fallSilent, until } from '../workflows/testing/fake-cloud.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let engine: Engine;
let app: FastifyInstance;
let directory: string;
let token: string;
/** What hosts answer beside what the fake ones do. */
let clocksAheadMs: Map<string, number>;
let said: Map<string, readonly string[]>;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  [clocksAheadMs, said] = [new Map(), new Map()];
  directory = await mkdtemp(join(tmpdir(), 'godwit-doctor-'));
  database = await postgres.database();
  cloud = await fakeCloud(database);
  engine = await cloud.controller('c1');
  const config = resolveConfig({
    stateDir: directory,
    listen: { address: '127.0.0.1', port: 0 },
    publicUrl: 'http://127.0.0.1:8774',
    agentListen: { address: '127.0.0.1', port: 0, names: ['127.0.0.1'] },
    executorName: 'c1',
  });
  const log = createLog('fatal' as 'error', [openRecentLog(recentLogFile(config)).stream]);
  const { operations, fleet } = engine;
  const rest = { metrics: createMetrics({ process: false }), events: {} as AppContext['events'] };
  app = await buildApp({ config, database, db: database.db, operations, fleet, agents: talkative(fakeAgents(cloud.hosts)), log, ...rest });
  const made = await bootstrapIdentity(database.db);
  if (!made.created) throw new Error('the database is not fresh');
  const user = { name: 'admin', domain: { id: 'default' }, password: made.password };
  const scope = { project: { name: 'admin', domain: { id: 'default' } } };
  const answer = await app.inject({
    method: 'POST',
    url: '/identity/v3/auth/tokens',
    payload: { auth: { identity: { methods: ['password'], password: { user } }, scope } },
  });
  token = String(answer.headers['x-subject-token']);
});
afterEach(async () => {
  await app.close();
  await cloud.stop();
  await database.close();
  await rm(directory, { recursive: true, force: true });
});

const talkative = (agents: Agents): Agents => ({
  ...agents,
  client: async (id: HostId) => {
    const inner = await agents.client(id);
    const name = cloud.hosts.find((host) => host.id === id)?.name ?? '';
    const extra: Readonly<Record<string, unknown>> = {
      readLogs: async () => {
        if (name === 'node2') throw silence();
        return { logs: [{ name: 'qemu', lines: said.get(name) ?? [], cut: false }] };
      },
      getHost: async (...args: Parameters<typeof inner.getHost>) => ({
        ...(await inner.getHost(...args)),
        nowMs: Date.now() + (clocksAheadMs.get(name) ?? 0),
      }),
    };
    return new Proxy(inner, { get: (target, call) => extra[String(call)] ?? Reflect.get(target, call) });
  },
});
const call = async (method: 'GET' | 'POST', url: string, payload?: object) =>
  app.inject({
    method,
    url,
    headers: { 'x-auth-token': token, 'openstack-api-version': 'compute 2.60' },
    ...(payload === undefined ? {} : { payload }),
  });
const findings = async (): Promise<readonly Finding[]> => (await call('GET', '/godwit/v1/doctor')).json().findings;
const moved = async () => {
  const id = await cloud.server(engine, 'node1');
  await database.db.updateTable('server').set({ project_id: 'p1' }).where('id', '=', id).execute();
  const answer = await call('POST', `/compute/v2.1/servers/${id}/action`, { 'os-migrateLive': { host: 'node2', block_migration: 'auto' } });
  expect([answer.statusCode, answer.body]).toEqual([202, '']);
  const row = () => database.db.selectFrom('migration').selectAll().where('server_id', '=', id).executeTakeFirstOrThrow();
  await until(async () => (await row()).finished_at !== null);
  return { id, row: await row(), requestId: String(answer.headers['x-openstack-request-id']) };
};

it('the id of a request stands in its answer, the record, the action log, the workflow, the audit log and the controller’s log', async () => {
  const { id, row, requestId } = await moved();
  expect(requestId).toMatch(/^req-[0-9a-f-]{36}$/);
  expect(row.request_id).toBe(requestId);
  const { db } = database;
  const workflows = await db.selectFrom('workflow').select(['kind', 'request_id']).where('subject_id', '=', row.id).execute();
  expect(workflows).toEqual([{ kind: 'live-migrate', request_id: requestId }]);
  const { bundle } = (await call('GET', `/godwit/v1/bundles/${requestId}`)).json();
  expect(bundle.migrations).toMatchObject([{ id: row.id, requestId, outcome: { runsOn: 'destination' } }]);
  expect(bundle.actions).toMatchObject([{ server_id: id, action: 'live-migration', request_id: requestId }]);
  // The request is noted when it is answered, which may be after its move is over.
  const actions: readonly string[] = bundle.audit.map((entry: { action: string }) => entry.action);
  const post = `POST /compute/v2.1/servers/${id}/action`;
  expect(actions.filter((action) => action !== post)).toEqual(['live-migration accepted', 'live-migration completed']);
  expect(actions).toHaveLength(3);
  expect(actions.indexOf(post)).toBeGreaterThan(actions.indexOf('live-migration accepted'));
  expect(bundle.logs[0]).toMatchObject({ of: 'controller c1', name: 'controller' });
  expect(bundle.logs[0].lines.length).toBeGreaterThan(0);
  expect((await call('GET', `/godwit/v1/bundles/${row.api_id}`)).json().bundle.requestIds).toEqual([requestId]);
  expect((await call('GET', '/godwit/v1/bundles/req-nobody')).statusCode).toBe(404);
  expect((await call('GET', '/godwit/v1/bundles/nonsense')).statusCode).toBe(400);
});

it('a bundle holds no secret, wherever one was put, and names the host that did not answer', async () => {
  const { id, row, requestId } = await moved();
  const secrets = ['S3CRET-userdata', 'S3CRET-metadata', 'S3CRET-fault', 'S3CRET-password', 'S3CRET-qemu', 'S3CRET-error', 'S3CRET-log'];
  await database.db
    .updateTable('server')
    .set({
      user_data: 'S3CRET-userdata',
      metadata: JSON.stringify({ password: 'S3CRET-metadata' }),
      fault: JSON.stringify({
        code: 500,
        message: 'connecting to postgres://godwit:S3CRET-fault@db/x failed',
        created: new Date().toISOString(),
      }),
    })
    .where('id', '=', id)
    .execute();
  await database.db.updateTable('workflow').set({ last_error: 'Error: token=S3CRET-error' }).where('subject_id', '=', row.id).execute();
  await sql`insert into audit_entry (kind, action, request_id, details) values ('request', 'PATCH /identity/v3/users/x', ${requestId}, ${JSON.stringify({ body: { user: { password: 'S3CRET-password' } } })})`.execute(
    database.db,
  );
  said.set('node1', [
    'qemu: -object secret,id=s0,secret=S3CRET-qemu',
    '-----BEGIN PRIVATE KEY-----\nMIIS3CRET-qemu\n-----END PRIVATE KEY-----',
  ]);
  openRecentLog(recentLogFile({ stateDir: directory })).stream.write(
    `${JSON.stringify({ requestId, adminPass: 'S3CRET-log', msg: 'x' })}\n`,
  );
  const { body } = await call('GET', `/godwit/v1/bundles/${row.id}`);
  for (const secret of secrets) expect(body).not.toContain(secret);
  expect(body).not.toContain('MIIS3CRET');
  expect(body).not.toContain(token);
  expect(body).toContain('[removed]');
  const { bundle } = JSON.parse(body) as {
    readonly bundle: { readonly missing: unknown; readonly logs: readonly { readonly of: string; readonly name: string }[] };
  };
  expect(bundle.missing).toEqual([{ host: 'node2', reason: 'connection lost' }]);
  expect(bundle.logs.map((log) => `${log.of} ${log.name}`)).toContain('node1 qemu');
});

it('the audit log says who moved what where, also what was refused, and cannot be changed', async () => {
  const { id } = await moved();
  await call('POST', `/compute/v2.1/servers/${id}/action`, { 'os-start': null });
  await call('POST', '/identity/v3/users', { user: { name: 'mallory', password: 'S3CRET-password' } });
  const all = await call('GET', '/godwit/v1/audit');
  expect(all.body).not.toContain('S3CRET');
  const entries = all.json().entries as readonly { readonly id: number; readonly action: string; readonly status: number | null }[];
  expect(entries.find(({ status }) => status === 409)).toMatchObject({
    user: { name: 'admin' },
    server: { id },
    details: { body: { 'os-start': null } },
  });
  expect((await call('GET', `/godwit/v1/audit?server=${id}&kind=migration&host=node2`)).json().entries).toMatchObject([
    { action: 'live-migration completed', user: { name: 'admin' }, source: 'node1', destination: 'node2', cause: null },
    { action: 'live-migration accepted', source: 'node1', destination: 'node2' },
  ]);
  const last = entries.at(-1)?.id ?? 0;
  expect((await call('GET', `/godwit/v1/audit?before=${last + 1}&limit=1`)).json().entries).toMatchObject([{ id: last }]);
  for (const wrong of ['server=x', 'kind=other', 'since=yesterday', 'before=-1'])
    expect([wrong, (await call('GET', `/godwit/v1/audit?${wrong}`)).statusCode]).toEqual([wrong, 400]);
  for (const change of [sql`update audit_entry set action = 'nothing'`, sql`delete from audit_entry`, sql`truncate audit_entry`])
    await expect(change.execute(database.db)).rejects.toThrow('the audit log is only added to');
});

it('the doctor names what is not well, with a remedy, and nothing of a cloud that is', async () => {
  const bad = async () => (await findings()).filter(({ level }) => level !== 'ok');
  // The fake hosts say of themselves that they have no KVM; the test's database runs without fsync.
  expect((await bad()).map(({ check, subject }) => `${check} ${subject}`.trim())).toEqual([
    'kvm node1',
    'kvm node2',
    'kvm node3',
    'database',
  ]);
  clocksAheadMs.set('node2', 90_000);
  const node1 = cloud.hosts[0];
  if (node1 !== undefined) await fallSilent(database, node1);
  // Else its watcher would set right what is made wrong here.
  await engine.stop();
  const facts = await database.db.selectFrom('host').select('facts').where('name', '=', 'node3').executeTakeFirstOrThrow();
  const selfTest = [{ feature: 'tls', works: false, detail: 'the handshake failed', durationMs: 1 }];
  const pools = [{ ...facts.facts.pools[0], freeBytes: 1 }];
  await database.db
    .updateTable('host')
    .set({ facts: JSON.stringify({ ...facts.facts, qemuVersion: '10.1.0', accelerator: 'kvm', selfTest, pools }), enabled: false })
    .where('name', '=', 'node3')
    .execute();
  const found = await bad();
  expect(found.map(({ check, level, subject }) => `${level} ${check} ${subject}`.trim()).toSorted()).toEqual(
    [
      'problem silent-host node1',
      'problem clock node2',
      'warning qemu-versions',
      'problem self-test node3',
      'problem room node3',
      'warning enabled node3',
      'warning kvm node1',
      'warning kvm node2',
      'problem database',
    ].toSorted(),
  );
  for (const one of found) expect(one.remedy).not.toBe('');
  token = '';
  expect((await call('GET', '/godwit/v1/doctor')).statusCode).toBe(401);
});

it('what the API answers is what its OpenAPI document says', async () => {
  const { id, row } = await moved();
  await call('POST', '/compute/v2.1/os-server-groups', { server_group: { name: 'g', policies: ['anti-affinity'] } });
  const group = await database.db.selectFrom('server_group').select('id').executeTakeFirst();
  const bodies: Readonly<Record<string, object>> = {
    'PUT /migration-policies/default': { policy: { largestBlackoutMs: 300 } },
    'PATCH /hosts/node1': { restartGuestsAfterBoot: true },
    'POST /join-tokens': { host: 'node9' },
    'POST /plans': { select: { servers: [id] } },
    [`POST /servers/${id}/live-migrations`]: { host: 'node3' },
  };
  const params: Readonly<Record<string, string>> = { server: id, name: 'node1', scope: 'default' };
  const subjects: readonly (readonly [beginning: string, id: string])[] = [
    ['/migrations', row.id],
    ['/bundles', row.id],
    ['/servers', id],
    ['/server-groups', group?.id ?? ''],
  ];
  const [held, wrong]: [string[], string[]] = [[], []];
  for (const route of routeDocs) {
    const subject = subjects.find(([beginning]) => route.path.startsWith(`${beginning}/`))?.[1];
    const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? subject ?? 'none');
    const key = `${route.method} ${path}`;
    // Those that change something are asked where that is harmless here; the others have tests of their own.
    if (path.includes('none') || route.answer === null || !(route.method === 'GET' || key in bodies)) continue;
    const response = await app.inject({
      method: route.method,
      url: `/godwit/v1${path}`,
      headers: { 'x-auth-token': token },
      ...(key in bodies ? { payload: bodies[key] as object } : {}),
    });
    if (response.statusCode !== route.status) wrong.push(`${key} answered ${response.statusCode}: ${response.body}`);
    else {
      const found = violation(route.answer, response.json());
      if (found !== null) wrong.push(`${key}: ${found}`);
    }
    held.push(key);
  }
  expect(wrong).toEqual([]);
  expect(held.length).toBeGreaterThan(22);
});
