import { MigrationRole } from '@godwit/contract/gen/migration_pb';
import type { Prediction } from '@godwit/domain/prediction/predict';
import type { PredictionScore } from '@godwit/domain/prediction/score';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import type { LiveMigrateRequest } from '../operations.ts';
import { pastMoves } from '../prediction/past-moves.ts';
import { fakeFacts, runningCopies, silence } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';
import { queuePosition, readQueue } from './queue.ts';

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
  // All but node3, before a controller looks at them.
  for (const host of cloud.hosts.filter(({ name }) => name !== 'node3'))
    host.facts = { selfTest: ['multifd stream', 'zstd stream'].map((feature) => ({ feature, works: true, detail: '', durationMs: 1 })) };
  for (const { id, name, facts } of cloud.hosts)
    await database.db
      .updateTable('host')
      .set({ facts: JSON.stringify({ ...fakeFacts(name), ...facts }) })
      .where('id', '=', id)
      .execute();
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
    memoryStream: 'single',
    from: {
      largestBlackoutMs: 'default',
      deadlineMs: 'project',
      slowDownPercent: 'flavor',
      postCopyAllowed: 'built-in',
      whenNotConverging: 'request',
      memoryStream: 'built-in',
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
  const record = await readMove(second);
  const [{ durationMs: interval }, score] = [record.prediction as Prediction, record.prediction_score as PredictionScore];
  const took = (score.residuals.find(({ figure }) => figure === 'duration')?.ratio ?? Number.NaN) * (interval?.modelled ?? Number.NaN);
  expect(took).toBeGreaterThan(0);
  expect(score).toMatchObject({
    converged: true,
    durationInside: took >= (interval?.lower ?? 0) && took <= (interval?.upper ?? 0),
    blackoutInside: expect.any(Boolean),
  });
  cloud.hosts[0]?.faults.push({ call: 'measureDirty', when: 'before', error: silence() });
  const third = await move({ maxBandwidthBytes: 50_000_000 });
  await ended(third);
  expect((await readMove(third)).prediction).toMatchObject({ verdict: 'unknown', why: expect.stringMatching(/has not been measured/) });
});

it('memory goes as asked when both hosts have shown that they can; else in one stream, and the record says why', async () => {
  const lacking = await move({ host: 'node3', policy: { memoryStream: 'zstd' } });
  await ended(lacking);
  expect((await readMove(lacking)).memory_stream).toEqual({
    asked: 'zstd',
    used: 'single',
    why: 'node3 does not do zstd: its self-test has not shown it.',
  });
  expect(told().at(-1)?.memoryStream).toBe('single');
  const asked = await copying({ policy: { memoryStream: 'zstd' } });
  const record = await readMove(asked);
  expect(record.memory_stream).toEqual({ asked: 'zstd', used: 'zstd', why: '' });
  expect(record.incoming_ready).toMatchObject({ memoryStream: 'zstd' });
  await until(async () => told().at(-1)?.memoryStream === 'zstd');
  // Both ends are set up for it: another one would find a destination that waits for other channels.
  await expect(engine.operations.changePolicy(asked as never, { memoryStream: 'single' })).rejects.toMatchObject({
    code: 'InvalidMigrationState',
  });
  await engine.operations.changePolicy(asked as never, { slowDownPercent: 5 });
  await until(async () => told().at(-1)?.slowDownPercent === 5);
  expect(told().at(-1)?.memoryStream).toBe('zstd');
  if (cloud.hosts[0]) cloud.hosts[0].copyRounds = 1;
  await ended(asked);
  // What compressed moves were measured at says nothing of others.
  const past = await pastMoves(database.db);
  expect(past.linkBytesPerSecond(null, null, 'multifd')).toBeNull();
});

it('the stream is decided with the grant: a change that would come too late is refused, not swallowed', async () => {
  const destination = cloud.hosts[1];
  if (destination === undefined) throw new Error('no host');
  // It prepares, and nobody hears of it.
  for (let turn = 0; turn < 60; turn += 1) destination.faults.push({ call: 'prepareIncoming', when: 'after', error: silence() });
  const id = await move({ policy: { memoryStream: 'zstd' } });
  await until(async () => (await readMove(id)).epoch_to !== null);
  await expect(engine.operations.changePolicy(id, { memoryStream: 'single' })).rejects.toMatchObject({ code: 'InvalidMigrationState' });
  destination.faults.length = 0;
  await ended(id);
  expect((await readMove(id)).memory_stream).toEqual({ asked: 'zstd', used: 'zstd', why: '' });
});

it('a second move over a link is prepared while the first copies, waits, shows so, and can be cancelled or goes on', async () => {
  await cloud.stop();
  await database.close();
  database = await postgres.database();
  cloud = await fakeCloud(database, ['n1', 'n2', 'n3'], 1);
  engine = await cloud.controller('c2');
  const [source] = cloud.hosts;
  if (source === undefined) throw new Error('no host');
  source.copyRounds = null;
  const servers = [await cloud.server(engine, 'n1'), await cloud.server(engine, 'n1'), await cloud.server(engine, 'n1')];
  const to = async (index: number, host: string) =>
    engine.operations.liveMigrate(cloud.admin, servers[index] ?? ('' as never), {
      host,
      blockMigration: 'auto',
      force: false,
      checksBeforeAnswer: false,
    });
  const first = await to(0, 'n2');
  await until(async () => (await readMove(first)).phase === 'copying');
  const second = await to(1, 'n3');
  await until(async () => (await readMove(second)).incoming_ready !== null);
  const third = await to(2, 'n3');
  await until(async () => (await readMove(third)).phase === 'queued');
  const queue = await readQueue(database.db);
  expect([first, second, third].map((id) => queuePosition(queue, id))).toEqual([null, 1, 2]);
  expect((await readMove(second)).timeline).toContainEqual(expect.objectContaining({ what: 'prepared', detail: 'waits for the link' }));
  await engine.operations.abortMigration(cloud.admin, second);
  await ended(second);
  expect(await readMove(second)).toMatchObject({ status: 'cancelled', phase: 'cancelled', outcome: { runsOn: 'source' } });
  await until(async () => (await readMove(third)).incoming_ready !== null);
  expect((await readMove(third)).phase).toBe('preparing');
  source.copyRounds = 1;
  await Promise.all([ended(first), ended(third)]);
  expect((await readMove(third)).status).toBe('completed');
});

it('a destination that dies while copying is left out, and the guest goes to the next host in the same migration', async () => {
  const id = await copying({ host: null });
  const first = cloud.hosts.find((host) => host.moves.get(id)?.role === MigrationRole.DESTINATION);
  if (first === undefined) throw new Error('no destination');
  // Rebooted: what the source sees is a broken stream.
  first.bootId = `${first.bootId}-again`;
  await database.db.updateTable('host').set({ boot_id: first.bootId }).where('id', '=', first.id).execute();
  if (cloud.hosts[0]) cloud.hosts[0].copyRounds = 1;
  const source = cloud.hosts[0]?.moves.get(id);
  if (source === undefined) throw new Error('nothing is copied');
  source.state = 'failed';
  source.cause = 'StreamFailed';
  await ended(id);
  const record = await readMove(id);
  expect(record.attempts).toMatchObject([{ host: first.name, cause: 'DestinationDown' }]);
  expect(record).toMatchObject({ status: 'completed', outcome: { cause: null } });
  expect(record.destination_host_id).not.toBe(first.id);
  expect(runningCopies(cloud.hosts, record.server_id)).toBe(1);
  expect(await database.db.selectFrom('allocation').select('host_id').where('server_id', '=', record.server_id).execute()).toEqual([
    { host_id: record.destination_host_id },
  ]);
});
