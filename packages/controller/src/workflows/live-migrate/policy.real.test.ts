import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import type { LiveMigrateRequest } from '../operations.ts';
import { silence } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';

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

const readMove = (id: string) => database.db.selectFrom('migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const ended = (id: string) => until(async () => (await readMove(id)).finished_at !== null);
const told = () => cloud.hosts[0]?.policies ?? [];
const setPolicy = (scope: string, policy: object) =>
  database.db
    .insertInto('migration_policy')
    .values({ scope, policy: JSON.stringify(policy), updated_by: 'admin' })
    .execute();
const move = async (request: Partial<LiveMigrateRequest> = {}) => {
  const id = await cloud.server(engine, 'node1');
  return engine.operations.liveMigrate(cloud.admin, id, {
    host: 'node2',
    blockMigration: 'auto',
    force: false,
    checksBeforeAnswer: false,
    ...request,
  });
};
/** A move that copies until it is told otherwise. */
const copying = async (request: Partial<LiveMigrateRequest> = {}) => {
  if (cloud.hosts[0]) cloud.hosts[0].copyRounds = null;
  const id = await move(request);
  await until(async () => (await readMove(id)).phase === 'copying' && told().length > 0);
  return id;
};

it('each field of the policy is the nearest word said about it; the record shows whose, and the source is told', async () => {
  await setPolicy('default', { largestBlackoutMs: 900, deadlineMs: 90_000 });
  await setPolicy('p1', { deadlineMs: 80_000, slowDownPercent: 10 });
  await database.db
    .updateTable('flavor')
    .set({ extra_specs: JSON.stringify({ 'godwit:slow_down_percent': '20', 'godwit:when_not_converging': 'pause' }) })
    .where('id', '=', cloud.flavorId)
    .execute();
  const id = await move({ policy: { whenNotConverging: 'give-up' } });
  await ended(id);
  expect((await readMove(id)).policy).toEqual({
    largestBlackoutMs: 900,
    deadlineMs: 80_000,
    slowDownPercent: 20,
    postCopyAllowed: false,
    whenNotConverging: 'give-up',
    from: {
      largestBlackoutMs: 'default',
      deadlineMs: 'project',
      slowDownPercent: 'flavor',
      postCopyAllowed: 'built-in',
      whenNotConverging: 'request',
    },
  });
  expect(told()[0]).toMatchObject({
    largestBlackoutMs: 900n,
    deadlineMs: 80_000n,
    slowDownPercent: 20,
    pauseWhenNotConverging: false,
    forceComplete: false,
  });
});

it('a copy that is forced to complete has its source told so, once', async () => {
  const id = await copying();
  await engine.operations.forceComplete(cloud.admin, id);
  await engine.operations.forceComplete(cloud.admin, id);
  await ended(id);
  expect((await readMove(id)).status).toBe('completed');
  expect(told().map(({ forceComplete }) => forceComplete)).toEqual([false, true]);
  await expect(engine.operations.forceComplete(cloud.admin, id)).rejects.toMatchObject({ code: 'InvalidState' });
});

it('bandwidth: the least of the move, its source and its destination, changed while it copies', async () => {
  await engine.operations.capLink('node2', 80_000_000);
  const id = await copying({ maxBandwidthBytes: 100_000_000 });
  expect(told().at(-1)?.maxBandwidthBytes).toBe(80_000_000n);
  await engine.operations.capMigration(id, 50_000_000);
  await until(async () => told().at(-1)?.maxBandwidthBytes === 50_000_000n);
  await engine.operations.capMigration(id, null);
  await engine.operations.capLink('node2', null);
  await until(async () => told().at(-1)?.maxBandwidthBytes === 0n);
  await engine.operations.capLink('node1', 20_000_000);
  await until(async () => told().at(-1)?.maxBandwidthBytes === 20_000_000n);
  await expect(engine.operations.capLink('nowhere', 1)).rejects.toMatchObject({ code: 'HostNotFound' });
  await engine.operations.abortMigration(cloud.admin, id);
  await ended(id);
  await expect(engine.operations.capMigration(id, 5_000_000)).rejects.toMatchObject({ code: 'InvalidMigrationState' });
});

it('a prediction is in the record before the copy, and its score with the end; without a look at the guest it says so', async () => {
  const first = await move();
  await ended(first);
  expect((await readMove(first)).prediction).toMatchObject({ verdict: 'unknown', why: expect.stringMatching(/how fast the link/) });
  expect((await readMove(first)).prediction_score).toMatchObject({ verdict: 'unknown', converged: true, durationInside: null });
  const second = await copying({ policy: { largestBlackoutMs: 400 }, maxBandwidthBytes: 50_000_000 });
  expect((await readMove(second)).prediction).toMatchObject({
    verdict: 'converges',
    moveClass: 'calm',
    inputs: { firstPassBytes: 100_000_000, capBytesPerSecond: 50_000_000 },
  });
  if (cloud.hosts[0]) cloud.hosts[0].copyRounds = 1;
  await ended(second);
  expect((await readMove(second)).prediction_score).toMatchObject({
    converged: true,
    durationInside: false,
    blackoutInside: expect.any(Boolean),
  });
  cloud.hosts[0]?.faults.push({ call: 'measureDirty', when: 'before', error: silence() });
  const third = await move({ maxBandwidthBytes: 50_000_000 });
  await ended(third);
  expect((await readMove(third)).prediction).toMatchObject({ verdict: 'unknown', why: expect.stringMatching(/has not been measured/) });
});
