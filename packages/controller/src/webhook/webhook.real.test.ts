import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerId } from '@godwit/domain/ids';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createMetrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import type { Engine } from '../workflows/engine.ts';
import { refusal } from '../workflows/testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../workflows/testing/fake-cloud.ts';
import { startWebhook, type WebhookParts } from './webhook.ts';

type Told = { readonly headers: Readonly<Record<string, unknown>>; readonly text: string; readonly body: Record<string, unknown> };

const secret = 'a-secret-of-the-test';
let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let engine: Engine;
let directory: string;
let receiver: Server;
let told: Told[];
/** What the receiver answers next; then 204. `hang`: nothing. */
let answers: (number | 'hang')[];
/** The answers that are waited for. */
let hanging: ServerResponse[];
const stops: (() => Promise<void>)[] = [];
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  [told, answers, hanging] = [[], [], []];
  directory = await mkdtemp(join(tmpdir(), 'godwit-webhook-'));
  await writeFile(join(directory, 'secret'), `${secret}\n`);
  database = await postgres.database();
  cloud = await fakeCloud(database);
  engine = await cloud.controller('c1');
  receiver = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      told.push({ headers: request.headers, text, body: JSON.parse(text) as Record<string, unknown> });
      const answer = answers.shift() ?? 204;
      if (answer !== 'hang') response.writeHead(answer).end();
      else hanging.push(response);
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  await cloud.stop();
  await database.close();
  await rm(directory, { recursive: true, force: true });
});

const start = async (executorId = 'c1', changes: Partial<WebhookParts> = {}): Promise<void> => {
  const webhook = { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`, secretFile: join(directory, 'secret') };
  const parts = {
    db: database.db,
    executorId,
    metrics: createMetrics({ process: false }),
    log: pino({ level: 'silent' }),
    tickMs: 20,
    lookEveryMs: 20,
    retryFirstMs: 10,
  };
  stops.push(await startWebhook({ ...parts, config: { publicUrl: 'https://cloud.example', webhook }, ...changes }));
};
const order = { host: 'node2', blockMigration: 'auto', force: false, checksBeforeAnswer: false } as const;
const fail = async () => {
  for (const host of cloud.hosts) host.faults.push({ call: 'prepareIncoming', when: 'before', error: refusal('NoSpace', 'no space left') });
  const id = await cloud.server(engine, 'node1');
  return moveOf(id);
};
const moveOf = async (id: ServerId) => {
  const move = await engine.operations.liveMigrate(cloud.admin, id, order);
  const row = () => database.db.selectFrom('migration').selectAll().where('id', '=', move).executeTakeFirstOrThrow();
  await until(async () => (await row()).finished_at !== null);
  return row();
};

it('a failed move is told, signed, again until it is taken, and then no more; one that succeeded is not', async () => {
  answers = [500, 503];
  await start();
  await start('c2');
  const row = await fail();
  for (const host of cloud.hosts) host.faults.length = 0;
  await moveOf(await cloud.server(engine, 'node1'));
  await until(async () => told.length >= 3);
  const notices = await database.db.selectFrom('webhook_notice').selectAll().execute();
  await until(
    async () => (await database.db.selectFrom('webhook_notice').selectAll().where('delivered_at', 'is', null).execute()).length === 0,
  );
  expect(notices).toHaveLength(1);
  expect(told).toHaveLength(3);
  for (const { headers, text, body } of told) {
    const [, at = '', signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['godwit-signature'])) ?? [];
    expect(signature).toBe(createHmac('sha256', secret).update(`${at}.${text}`).digest('hex'));
    expect(Math.abs(Number(at) - Date.now() / 1_000)).toBeLessThan(60);
    expect(headers).toMatchObject({
      'godwit-event': 'migration.failed',
      'godwit-delivery': notices[0]?.id,
      'content-type': 'application/json',
    });
    expect(body).toMatchObject({
      id: notices[0]?.id,
      event: 'migration.failed',
      cause: 'NoSpace',
      runsOn: 'source',
      migration: { id: row.id, status: 'failed', source: 'node1', requestId: 'req-test' },
      server: { name: 's' },
      link: `https://cloud.example/admin/migrations/${row.id}`,
    });
  }
});

it('a receiver that takes nothing is given up after its attempts, and keeps no move waiting', async () => {
  answers = Array.from({ length: 100 }, () => 500);
  const metrics = createMetrics({ process: false });
  await start('c1', { mostAttempts: 4, metrics, answerMs: 60_000 });
  const row = await fail();
  await until(async () => (await database.db.selectFrom('webhook_notice').selectAll().executeTakeFirstOrThrow()).given_up_at !== null);
  expect(await database.db.selectFrom('webhook_notice').selectAll().executeTakeFirstOrThrow()).toMatchObject({
    migration_id: row.id,
    attempts: 4,
    last_error: 'it answered 500',
  });
  expect(await metrics.registry.metrics()).toContain('godwit_webhook_notices_total{kind="migration.failed",result="given-up"} 1');
  // One that does not even answer: moves go on, and end.
  for (const host of cloud.hosts) host.faults.length = 0;
  answers = ['hang'];
  await fail();
  await until(async () => hanging.length === 1);
  for (const host of cloud.hosts) host.faults.length = 0;
  await fail();
  expect(hanging.map(({ closed }) => closed)).toEqual([false]);
});

it('stuck moves and forgotten Verify Resize are told once, while they are so', async () => {
  const source = cloud.hosts[0];
  if (source === undefined) throw new Error('no host');
  source.copyRounds = null;
  const id = await cloud.server(engine, 'node1');
  const move = await engine.operations.liveMigrate(cloud.admin, id, order);
  const row = () => database.db.selectFrom('migration').selectAll().where('id', '=', move).executeTakeFirstOrThrow();
  await until(async () => (await row()).phase === 'copying');
  const other = await cloud.server(engine, 'node3');
  const cold = await engine.operations.migrate(cloud.admin, other, { host: null });
  const coldRow = () => database.db.selectFrom('migration').selectAll().where('id', '=', cold).executeTakeFirstOrThrow();
  await until(async () => (await coldRow()).status === 'finished');
  // Whoever carries a move out writes its record too, from what it holds of it: made old again until it was seen so.
  const makeOld = async (): Promise<void> => {
    const begunAt = Date.now() - 3_600_000;
    const timeline = (await row()).timeline.map((entry) => ({ ...entry, at: Math.min(entry.at, begunAt) }));
    const { db } = database;
    await db
      .updateTable('migration')
      .set({ timeline: JSON.stringify(timeline) })
      .where('id', '=', move)
      .execute();
    await db
      .updateTable('migration')
      .set({ updated_at: new Date(Date.now() - 2 * 86_400_000) })
      .where('id', '=', cold)
      .execute();
  };
  await start();
  await until(async () => {
    await makeOld();
    return told.length >= 2;
  });
  const seen = told.map(({ body }) => [body['event'], body['sentence']] as const).toSorted();
  expect(seen).toEqual([
    ['migration.stuck', expect.stringMatching(/^The migration of s has been copying for/)],
    ['resize.forgotten', expect.stringContaining('waits in Verify Resize')],
  ]);
});

it('a secret that cannot be read, or is short, is one sentence', async () => {
  await writeFile(join(directory, 'secret'), 'short');
  await expect(start()).rejects.toThrow('"webhook.secretFile" must hold at least 16 characters');
  await rm(join(directory, 'secret'));
  await expect(start()).rejects.toThrow('"webhook.secretFile": ENOENT');
});
