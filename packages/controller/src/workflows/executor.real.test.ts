import pino from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { createWorkflows, type ExecutorOptions } from './executor.ts';
import { until } from './testing/fake-cloud.ts';

let postgres: TestServer;
let database: Database;
beforeAll(async () => {
  postgres = await startTestServer();
  database = await postgres.database();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);

const heartbeatMs = 20;

it('an earlier process of a name that lives on takes nothing back from the later one', async () => {
  const never = Promise.withResolvers<void>();
  const runs: string[] = [];
  const executor = (who: string) => {
    const handlers = {
      'live-migrate': () => {
        runs.push(who);
        return never.promise;
      },
    } as unknown as ExecutorOptions['handlers'];
    return createWorkflows(database, { name: 'c1', handlers, log: pino({ level: 'silent' }), heartbeatMs });
  };
  const [earlier, later] = [executor('earlier'), executor('later')];
  try {
    await earlier.start();
    await database.db
      .transaction()
      .execute((tx) => earlier.enqueue(tx, { kind: 'live-migrate', subjectId: '00000000-0000-4000-8000-000000000001', input: {} }));
    await until(async () => runs.length === 1);
    await later.start();
    await until(async () => runs.length === 2);
    const since = new Date();
    const row = database.db.selectFrom('executor').select('heartbeat_at').where('id', '=', later.executorId);
    await until(async () => Number((await row.executeTakeFirst())?.heartbeat_at ?? 0) - since.getTime() > 20 * heartbeatMs);
    expect(runs).toEqual(['earlier', 'later']);
  } finally {
    never.resolve();
    await Promise.all([earlier.stop(), later.stop()]);
  }
});
