import { asFence } from '@godwit/domain/ids';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { type FakeCloud, fakeCloud } from '../testing/fake-cloud.ts';
import { leaveBehind, readCustody, stepCustody } from './custody-store.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
beforeAll(async () => {
  postgres = await startTestServer();
  database = await postgres.database();
  cloud = await fakeCloud(database);
}, 60_000);
afterAll(async () => {
  await cloud?.stop();
  await database?.close();
  await postgres?.stop();
}, 60_000);

it('custody is written by the executor in charge, in a transaction, with the row as it is; else nothing is, and that is told', async () => {
  const { db } = database;
  const id = await cloud.server(await cloud.controller('c1'), 'node1');
  const before = await readCustody(db, id);
  const newer = asFence(before.fence + 1);
  await expect(db.transaction().execute((tx) => leaveBehind(tx, id, newer))).rejects.toThrow(/server/);
  await expect(db.transaction().execute((tx) => stepCustody(tx, id, newer, [{ kind: 'restored', hosts: [] }]))).rejects.toThrow(/server/);
  await expect(stepCustody(db, id, before.fence, [{ kind: 'destroy' }])).rejects.toThrow(/transaction/);
  // A row that was read before somebody else took charge.
  await expect(
    db.transaction().execute((tx) => stepCustody(tx, id, newer, [{ kind: 'destroy' }], { ...before, fence: newer })),
  ).rejects.toMatchObject({ code: '22012' });
  expect(await readCustody(db, id)).toEqual(before);
  await db.transaction().execute((tx) => leaveBehind(tx, id, before.fence));
  expect(await readCustody(db, id)).toEqual({ ...before, behind: true });
});
