import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { runningCopies } from './testing/fake-agents.ts';
import { fakeCloud, until } from './testing/fake-cloud.ts';

let postgres: TestServer;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);

it('a database that is away for a moment, again and again, keeps no move from its end', async () => {
  const database = await postgres.database();
  const cloud = await fakeCloud(database);
  const watching = new pg.Client({ connectionString: database.url });
  watching.on('error', () => {});
  await watching.connect();
  try {
    const engine = await cloud.controller('c1');
    const ids = await Promise.all(['node1', 'node2', 'node3', 'node1', 'node2', 'node3'].map((host) => cloud.server(engine, host)));
    for (const host of cloud.hosts) host.copyRounds = 20;
    const order = { host: null, blockMigration: 'auto', force: false, checksBeforeAnswer: false } as const;
    await Promise.all(ids.map((id) => engine.operations.liveMigrate(cloud.admin, id, order)));
    // So short that no heartbeat is missed: nobody takes the work over. In the middle of whatever is being written.
    for (let cut = 0; cut < 4; cut++) {
      await delay(120);
      await watching.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
    }
    for (const host of cloud.hosts) host.copyRounds = 1;
    const moves = async () => (await watching.query<{ status: string }>('select status from migration')).rows.map(({ status }) => status);
    await until(async () => (await moves()).every((status) => status === 'completed'), 30_000);
    expect(await moves()).toHaveLength(6);
    for (const id of ids) expect(runningCopies(cloud.hosts, id)).toBe(1);
  } finally {
    await cloud.stop();
    await watching.end();
    await database.close();
  }
}, 60_000);
