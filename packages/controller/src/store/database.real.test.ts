import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Database, openDatabase } from './database.ts';
import { startTestServer, type TestServer } from './test-database.ts';

let server: TestServer;
let database: Database;
beforeAll(async () => {
  server = await startTestServer();
  database = openDatabase({ url: await server.url(), leftAloneMs: 500 });
}, 60_000);
afterAll(async () => {
  await database?.close();
  await server?.stop();
}, 60_000);

it('a transaction whose process stands still keeps nobody waiting: it is undone, and says so when it goes on', async () => {
  const { db } = database;
  await sql`create table seat (id int primary key, taken_by text)`.execute(db);
  await sql`insert into seat values (1, null)`.execute(db);
  let locked = (): void => {};
  const isLocked = new Promise<void>((resolve) => (locked = resolve));
  let wake = (): void => {};
  const awake = new Promise<void>((resolve) => (wake = resolve));
  const frozen = db.transaction().execute(async (tx) => {
    await sql`update seat set taken_by = 'frozen'`.execute(tx);
    locked();
    await awake;
    await sql`update seat set taken_by = 'woken'`.execute(tx);
  });
  const outcome = frozen.then(
    () => 'committed',
    () => 'undone',
  );
  // On a machine that stands still for so long it may be undone before.
  await Promise.race([isLocked, outcome]);
  // Waits for the row until the server has ended the one that holds it.
  await sql`update seat set taken_by = 'next'`.execute(db);
  wake();
  expect(await outcome).toBe('undone');
  expect((await sql<{ taken_by: string }>`select taken_by from seat`.execute(db)).rows).toEqual([{ taken_by: 'next' }]);
}, 20_000);
