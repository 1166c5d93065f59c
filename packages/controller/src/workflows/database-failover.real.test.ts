import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../store/database.ts';
import { migrate } from '../store/migrate.ts';
import { type ReplicatedServer, startReplicatedServer } from '../store/testing/replicated-server.ts';
import { isRestored } from './custody/database-restored.ts';
import { runningCopies } from './testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from './testing/fake-cloud.ts';

/** PostgreSQL's own failover, with real servers: the primary is killed in the middle of moves, its standby promoted, and two controllers go on by themselves. */
describe('when the database fails over in the middle of moves', () => {
  let postgres: ReplicatedServer;
  let database: Database;
  let cloud: FakeCloud;
  beforeEach(async () => {
    postgres = await startReplicatedServer();
    await migrate(postgres.url);
    database = openDatabase({ url: postgres.url });
    cloud = await fakeCloud(database);
  }, 60_000);
  afterEach(async () => {
    await cloud?.stop();
    await database?.close();
    await postgres?.stop();
  }, 60_000);

  const order = { host: null, blockMigration: 'auto', force: false, checksBeforeAnswer: false } as const;
  const sources = ['node1', 'node2', 'node3', 'node1', 'node2', 'node3'];
  const moves = () => database.db.selectFrom('migration').select(['id', 'server_id', 'status', 'phase', 'outcome']).execute();
  const servers = () => database.db.selectFrom('server').select(['id', 'host_id', 'vm_state', 'task_state', 'custody', 'epoch']).execute();
  const settled = async (): Promise<boolean> =>
    // Custody's part ends a moment before the row says what was found.
    (await servers()).every(
      ({ task_state, custody, host_id }) =>
        task_state === null &&
        custody.operation === null &&
        !custody.behind &&
        custody.holder.kind === 'host' &&
        custody.holder.hostId === host_id,
    );
  /** Every guest runs once, where the row and the one claim say. */
  const consistent = async (ids: readonly string[]): Promise<void> => {
    const rows = await servers();
    expect(rows).toHaveLength(ids.length);
    for (const row of rows) {
      expect(runningCopies(cloud.hosts, row.id)).toBe(1);
      const holder = cloud.hosts.find(({ id }) => id === row.host_id);
      expect(holder?.guests.get(row.id)).toMatchObject({ epoch: row.epoch });
      expect(row).toMatchObject({ vm_state: 'active', custody: { holder: { kind: 'host', hostId: row.host_id, epoch: row.epoch } } });
      const claims = await database.db.selectFrom('allocation').select('host_id').where('consumer_id', '=', row.id).execute();
      expect(claims).toEqual([{ host_id: row.host_id }]);
    }
  };

  it('the standby that took over is known as another database at its first answer, before its first checkpoint', async () => {
    await cloud.controller('c1');
    await cloud.stop();
    expect(await isRestored(database.db)).toBe(false);
    await postgres.caughtUp();
    await postgres.failover();
    const fresh = openDatabase({ url: postgres.url });
    try {
      expect(await isRestored(fresh.db)).toBe(true);
    } finally {
      await fresh.close();
    }
  }, 60_000);

  it('to a synchronous standby, every move is completed, those that wait for their turn too', async () => {
    const [one, other] = [await cloud.controller('c1'), await cloud.controller('c2')];
    const ids = await Promise.all(sources.map((host) => cloud.server(one, host)));
    await postgres.synchronous();
    for (const host of cloud.hosts) host.copyRounds = null;
    await Promise.all(ids.map((id, at) => (at % 2 === 0 ? one : other).operations.liveMigrate(cloud.admin, id, order)));
    await until(async () => (await moves()).some(({ phase }) => phase === 'copying'));
    await postgres.failover();
    for (const host of cloud.hosts) host.copyRounds = 1;
    await until(
      async () => (await moves()).every(({ status }) => !['accepted', 'queued', 'preparing', 'running'].includes(status)),
      60_000,
    );
    expect((await moves()).map(({ status, outcome }) => [status, outcome?.cause ?? null])).toEqual(ids.map(() => ['completed', null]));
    await until(settled, 30_000);
    await consistent(ids);
    // And it goes on: nothing is left that keeps the next move away.
    const [id = ids[0]] = ids;
    if (id !== undefined) await one.operations.liveMigrate(cloud.admin, id, order);
    await until(async () => (await moves()).filter(({ status }) => status === 'completed').length === ids.length + 1, 30_000);
    await until(settled, 30_000);
    await consistent(ids);
  }, 180_000);

  it('to a standby that has lost the last commits, no guest is doubled, and the rows are what the hosts know', async () => {
    const [one, other] = [await cloud.controller('c1'), await cloud.controller('c2')];
    const ids = await Promise.all(sources.map((host) => cloud.server(one, host)));
    await until(settled);
    await postgres.caughtUp();
    await postgres.cutStandby();
    // Lost: three moves that were completed, and three that had begun to copy.
    await Promise.all(ids.slice(0, 3).map((id) => one.operations.liveMigrate(cloud.admin, id, order)));
    await until(async () => (await moves()).every(({ status }) => status === 'completed'), 30_000);
    const after = new Map((await servers()).map(({ id, host_id, epoch }) => [id, { host_id, epoch }]));
    for (const host of cloud.hosts) host.copyRounds = null;
    await Promise.all(ids.slice(3).map((id) => other.operations.liveMigrate(cloud.admin, id, order)));
    await until(async () => (await moves()).some(({ phase }) => phase === 'copying'));
    await postgres.failover();
    for (const host of cloud.hosts) host.copyRounds = 1;
    await until(async () => (await moves().catch(() => [null])).length === 0, 30_000);
    await until(
      async () => (await settled()) && (await servers()).some(({ id, epoch }) => epoch === after.get(id)?.epoch && epoch > 1),
      60_000,
    );
    await consistent(ids);
    for (const row of await servers()) if ((after.get(row.id)?.epoch ?? 1) > 1) expect(row).toMatchObject(after.get(row.id) ?? {});
    // A new move of each: the epochs go on above what was lost.
    await Promise.all(ids.map((id) => one.operations.liveMigrate(cloud.admin, id, order)));
    await until(async () => (await moves()).filter(({ status }) => status === 'completed').length === ids.length, 60_000);
    await until(settled, 30_000);
    await consistent(ids);
    // What was lost is not in the records either.
    expect(await moves()).toHaveLength(ids.length);
  }, 180_000);
});
