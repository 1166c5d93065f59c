import fastify, { type FastifyInstance } from 'fastify';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { rootPlugin } from '../api/root/plugin.ts';
import type { AppContext } from '../app-context.ts';
import { createMetrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import type { Engine } from './engine.ts';
import { refusal } from './testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from './testing/fake-cloud.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let engine: Engine;
let app: FastifyInstance;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
  const metrics = createMetrics({ process: false, database: database.db });
  engine = await cloud.controller('c1', undefined, metrics);
  app = fastify();
  await rootPlugin(app, { config: { publicUrl: 'http://cloud.example' }, db: database.db, metrics } as AppContext);
});
afterEach(async () => {
  await app.close();
  await cloud.stop();
  await database.close();
});

const move = async (): Promise<void> => {
  const id = await cloud.server(engine, 'node1');
  const migration = await engine.operations.liveMigrate(cloud.admin, id, {
    host: 'node2',
    blockMigration: 'auto',
    force: false,
    checksBeforeAnswer: false,
  });
  const finished = database.db.selectFrom('migration').select('finished_at').where('id', '=', migration);
  await until(async () => (await finished.executeTakeFirstOrThrow()).finished_at !== null && engine.idle());
};
const scraped = async (start: string): Promise<readonly string[]> => {
  const answer = await app.inject('/metrics');
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['content-type']).toContain('text/plain');
  return answer.payload.split('\n').filter((line) => line.startsWith(start));
};

it('GET /metrics shows what has ended: outcome and cause, the blackout, the time in each phase', async () => {
  await move();
  for (const host of cloud.hosts) host.faults.push({ call: 'prepareIncoming', when: 'before', error: refusal('NoSpace', 'no space left') });
  await move();
  expect(await scraped('godwit_migrations_total{')).toEqual([
    'godwit_migrations_total{type="live-migration",outcome="completed",cause=""} 1',
    'godwit_migrations_total{type="live-migration",outcome="failed",cause="NoSpace"} 1',
  ]);
  // The fake agents' clocks say 12 ms.
  expect(await scraped('godwit_migration_blackout_seconds_bucket{le="0.01"}')).toEqual([
    'godwit_migration_blackout_seconds_bucket{le="0.01"} 0',
  ]);
  expect(await scraped('godwit_migration_blackout_seconds_bucket{le="0.02"}')).toEqual([
    'godwit_migration_blackout_seconds_bucket{le="0.02"} 1',
  ]);
  expect(await scraped('godwit_migration_blackout_seconds_sum')).toEqual(['godwit_migration_blackout_seconds_sum 0.012']);
  expect(await scraped('godwit_migration_phase_seconds_count{phase="copying"}')).toEqual([
    'godwit_migration_phase_seconds_count{phase="copying"} 1',
  ]);
  expect(await scraped('godwit_migration_seconds_count')).toEqual([
    'godwit_migration_seconds_count{type="live-migration",outcome="completed"} 1',
    'godwit_migration_seconds_count{type="live-migration",outcome="failed"} 1',
  ]);
  expect(await scraped('godwit_migration_bytes_total{kind="memory"}')).toHaveLength(1);
  expect(await scraped('godwit_hosts{')).toEqual(['godwit_hosts{state="up"} 3']);
  expect(await scraped('godwit_servers{')).toEqual(['godwit_servers{state="active"} 2']);
  expect(await scraped('godwit_migrations_open{')).toEqual([]);
  expect(await scraped('godwit_migration_oldest_seconds ')).toEqual(['godwit_migration_oldest_seconds 0']);
  expect(await scraped('godwit_webhook_pending ')).toEqual(['godwit_webhook_pending 1']);
});

it('an end whose commit fails and is done again is counted once', async () => {
  // A sequence does not go back with the transaction: the first end is refused at its commit, the next one is not.
  await sql`create sequence ends`.execute(database.db);
  await sql`create function refuse_first_end() returns trigger language plpgsql as
    $$ begin if nextval('ends') = 1 then raise exception 'the commit fails'; end if; return null; end $$`.execute(database.db);
  await sql`create constraint trigger refuse_first_end after update on migration deferrable initially deferred
    for each row when (old.finished_at is null and new.finished_at is not null) execute function refuse_first_end()`.execute(database.db);
  await move();
  expect(
    (await sql<{ last_value: string }>`select last_value from ends`.execute(database.db)).rows.map((row) => Number(row.last_value)),
  ).toEqual([2]);
  expect(await scraped('godwit_migrations_total{')).toEqual([
    'godwit_migrations_total{type="live-migration",outcome="completed",cause=""} 1',
  ]);
  expect(await scraped('godwit_migration_blackout_seconds_count')).toEqual(['godwit_migration_blackout_seconds_count 1']);
});
