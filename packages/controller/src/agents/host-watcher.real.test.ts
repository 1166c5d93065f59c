import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { type FakeCloud, fakeCloud, until } from '../workflows/testing/fake-cloud.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

it('hosts that no controller looked at are not called silent by the next one, before it has looked itself', async () => {
  const { db } = database;
  await db
    .updateTable('host')
    .set({ last_seen_at: new Date(Date.now() - 60_000) })
    .execute();
  for (const host of cloud.hosts) host.down = true;
  await cloud.controller('next');
  // Refused thrice means that more than a second has gone by: the look that would have blamed them is over.
  await until(async () => cloud.hosts.every(({ unanswered }) => unanswered >= 4));
  for (const host of cloud.hosts) host.down = false;
  await until(async () => {
    const rows = await db.selectFrom('host').select('last_seen_at').execute();
    return rows.every(({ last_seen_at }) => last_seen_at !== null && Date.now() - last_seen_at.getTime() < 30_000);
  });
  expect((await db.selectFrom('host').select('reachable').execute()).every(({ reachable }) => reachable)).toBe(true);
  expect(await db.selectFrom('event').select('data').where('kind', '=', 'host').execute()).toEqual([]);
});
