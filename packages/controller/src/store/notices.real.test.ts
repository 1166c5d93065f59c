import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Database, openDatabase } from './database.ts';
import { tellAfterCommit } from './notices.ts';
import { startTestServer, type TestServer } from './test-database.ts';

let server: TestServer;
let database: Database;
beforeAll(async () => {
  server = await startTestServer();
  database = await server.database();
});
afterAll(() => server.stop());

it('are told here and to other controllers after the commit, once, and not at all after a rollback', async () => {
  const other = openDatabase({ url: database.url });
  const listener = await other.connect('test');
  const delivered: string[] = [];
  const own: string[] = [];
  const stop = database.notices.onOwn(({ channel, payload }) => own.push(`${channel} ${payload}`));
  try {
    listener.on('notification', ({ channel, payload, processId }) => {
      expect([database.notices.isOwn(processId), other.notices.isOwn(processId)]).toEqual([true, false]);
      delivered.push(`${channel} ${payload}`);
    });
    await listener.query('listen news');
    await database.db
      .transaction()
      .execute(async (tx) => {
        await tellAfterCommit(tx, 'news', 'rolled back');
        throw new Error('rolled back');
      })
      .catch(() => {});
    await expect(
      database.db.transaction().execute(async (tx) => {
        await tellAfterCommit(tx, 'news', 'aborted');
        await sql`select 1/0`.execute(tx).catch(() => {});
      }),
    ).rejects.toThrow();
    await database.db.transaction().execute(async (tx) => {
      await tellAfterCommit(tx, 'news', 'twice');
      await tellAfterCommit(tx, 'news', 'twice');
      await database.notices.sent();
      expect([own, delivered]).toEqual([[], []]);
    });
    expect(new Set(own)).toEqual(new Set(['news twice']));
    await tellAfterCommit(database.db, 'news', 'alone');
    await expect.poll(() => delivered).toEqual(['news twice', 'news alone']);
  } finally {
    stop();
    await listener.end();
    await other.close();
  }
});
