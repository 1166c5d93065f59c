import { GuestState } from '@godwit/contract/gen/guest_pb';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import type { Engine } from '../workflows/engine.ts';
import { fakeAgents } from '../workflows/testing/fake-agents.ts';
import { answerAgain, type FakeCloud, fakeCloud, fallSilent, until } from '../workflows/testing/fake-cloud.ts';
import { findProblems } from './find-problems.ts';
import { silentHosts } from './forgotten.ts';
import type { Problem } from './problem.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let engine: Engine;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
  engine = await cloud.controller('c1');
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

const all = (): Promise<readonly Problem[]> => findProblems(database.db, fakeAgents(cloud.hosts));
const hostAt = (index: number) => {
  const host = cloud.hosts[index];
  if (host === undefined) throw new Error(`no host ${index}`);
  return host;
};
const copying = async () => {
  hostAt(0).copyRounds = null;
  const id = await cloud.server(engine, 'node1');
  const move = await engine.operations.liveMigrate(cloud.admin, id, {
    host: 'node2',
    blockMigration: 'auto',
    force: false,
    checksBeforeAnswer: false,
  });
  const row = () => database.db.selectFrom('migration').selectAll().where('id', '=', move).executeTakeFirstOrThrow();
  await until(async () => (await row()).phase === 'copying' && hostAt(0).moves.has(move));
  return { id, move, row };
};

it('a cloud that is well has no problem, also while a guest is moved', async () => {
  const { move, row } = await copying();
  expect(await all()).toEqual([]);
  hostAt(0).copyRounds = 1;
  await until(async () => (await row()).finished_at !== null);
  expect(await all()).toEqual([]);
  expect(move).not.toBe('');
});

it('a migration that is much older than usual is named, and can be aborted', async () => {
  const { move, row } = await copying();
  // Whoever carries the move out writes its record too, from what it holds of it: made old again until it was seen so.
  const begunAt = Date.now() - 600_000;
  const seenLate = async (): Promise<readonly Problem[]> => {
    let found: readonly Problem[] = [];
    await until(async () => {
      const timeline = (await row()).timeline.map((entry) => ({ ...entry, at: Math.min(entry.at, begunAt) }));
      await database.db
        .updateTable('migration')
        .set({ timeline: JSON.stringify(timeline) })
        .where('id', '=', move)
        .execute();
      found = await all();
      return found.some(({ kind }) => kind === 'late-migration');
    });
    return found;
  };
  const [problem, ...others] = await seenLate();
  expect(others).toEqual([]);
  expect(problem).toMatchObject({
    kind: 'late-migration',
    subject: { type: 'migration', id: move },
    sentence: expect.stringMatching(/has been copying for 10 min/),
    action: { request: { service: 'godwit', method: 'POST', path: `/migrations/${move}/abort` } },
  });
  await fallSilent(database, hostAt(1));
  const late = (await seenLate()).find(({ kind }) => kind === 'late-migration');
  expect(late?.evidence).toContain('host node2 is not heard from');
  expect(late?.action.request).toBeNull();
});

it('a guest that runs where no record says, and a server whose guest does not run', async () => {
  const id = await cloud.server(engine, 'node1');
  const guest = hostAt(0).guests.get(id);
  if (guest === undefined) throw new Error('no guest');
  hostAt(2).guests.set(id, { ...guest });
  guest.state = GuestState.SHUTOFF;
  expect(await all()).toMatchObject([
    { kind: 'guest-differs', sentence: 'A guest of s runs on node3, and its record says node1.', action: { request: null } },
    {
      kind: 'guest-differs',
      sentence: 's is active by its record, and no guest of it runs on node1.',
      action: { request: { service: 'compute' } },
    },
  ]);
  // A host that does not answer proves nothing about its guests.
  hostAt(0).down = true;
  expect((await all()).map(({ sentence }) => sentence)).toEqual(['A guest of s runs on node3, and its record says node1.']);
});

it('silent hosts, forgotten resizes, claims of nobody, and work that fails again and again', async () => {
  const { db } = database;
  const id = await cloud.server(engine, 'node1');
  await fallSilent(database, hostAt(2));
  expect(await silentHosts(db)).toMatchObject([
    { kind: 'silent-host', subject: { name: 'node3' }, sentence: expect.stringMatching(/0 servers/) },
  ]);
  await answerAgain(database, hostAt(2));

  const move = await engine.operations.migrate(cloud.admin, id, { host: null });
  await until(
    async () => (await db.selectFrom('migration').select('status').where('id', '=', move).executeTakeFirstOrThrow()).status === 'finished',
  );
  expect(await all()).toEqual([]);
  await db
    .updateTable('migration')
    .set({ updated_at: new Date(Date.now() - 2 * 86_400_000) })
    .where('id', '=', move)
    .execute();
  expect(await all()).toMatchObject([
    { kind: 'forgotten-resize', subject: { id }, action: { request: { body: { confirmResize: null } } } },
  ]);
  await engine.operations.confirmResize(cloud.admin, id);
  await until(
    async () =>
      (await db.selectFrom('migration').select('finished_at').where('id', '=', move).executeTakeFirstOrThrow()).finished_at !== null,
  );
  expect(await all()).toEqual([]);

  await db
    .insertInto('allocation')
    .values({ consumer_id: move, consumer_type: 'migration', server_id: id, host_id: hostAt(2).id, vcpus: 1, ram_mib: 1, disk_gib: 0 })
    .execute();
  expect(await all()).toMatchObject([{ kind: 'leaked-claim', sentence: 'Room on node3 is held for s, although its migration has ended.' }]);
  await db.deleteFrom('allocation').where('consumer_id', '=', move).execute();

  await db
    .insertInto('workflow')
    .values({
      kind: 'settle-server',
      subject_id: id,
      input: '{}',
      attempts: 7,
      last_error: 'Error: the reason\n  at line',
      not_before: new Date(Date.now() + 3_600_000),
    })
    .execute();
  expect(await all()).toMatchObject([{ kind: 'failing-workflow', subject: { id }, evidence: ['Error: the reason'] }]);
});
