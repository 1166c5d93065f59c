import { GuestState } from '@godwit/contract/gen/guest_pb';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { isRestored } from '../custody/database-restored.ts';
import { runningCopies } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';

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

const read = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const idle = (id: string) => until(async () => (await read(id)).task_state === null);
const hostNamed = (name: string) => {
  const host = cloud.hosts.find((one) => one.name === name);
  if (host === undefined) throw new Error(name);
  return host;
};

/** Makes the rows of a server, and the fences, what they were when `snapshot` was taken: as a restore of a backup does. */
async function restore(snapshot: Awaited<ReturnType<typeof read>>, fence: number): Promise<void> {
  await database.db
    .updateTable('server')
    .set({
      epoch: snapshot.epoch,
      highest_epoch: snapshot.highest_epoch,
      fence: snapshot.fence,
      custody: JSON.stringify(snapshot.custody),
      host_id: snapshot.host_id,
      vm_state: snapshot.vm_state,
      task_state: null,
    })
    .where('id', '=', snapshot.id)
    .execute();
  await database.db
    .updateTable('allocation')
    .set({ host_id: snapshot.host_id ?? '' })
    .where('server_id', '=', snapshot.id)
    .execute();
  await sql`select setval('fence_sequence', ${fence}::bigint)`.execute(database.db);
}

describe('a database that has travelled back', () => {
  it('learns from the hosts where the guest is, under fences and epochs above all that is known, and starts nothing twice', async () => {
    const first = await cloud.controller('c1');
    const id = await cloud.server(first, 'node1');
    const snapshot = await read(id);
    const migration = await first.operations.liveMigrate(cloud.admin, id, {
      host: 'node2',
      blockMigration: 'auto',
      force: false,
      checksBeforeAnswer: false,
    });
    await until(
      async () =>
        (await database.db.selectFrom('migration').select('finished_at').where('id', '=', migration).executeTakeFirstOrThrow())
          .finished_at !== null,
    );
    expect(await read(id)).toMatchObject({ host_id: hostNamed('node2').id, epoch: 2 });
    await first.stop();
    await restore(snapshot, snapshot.fence);
    expect((await read(id)).host_id).toBe(hostNamed('node1').id);

    const second = await cloud.controller('c2');
    await until(async () => (await read(id)).host_id === hostNamed('node2').id, 20_000);
    const row = await read(id);
    expect(row).toMatchObject({
      vm_state: 'active',
      epoch: 2,
      custody: { behind: false, operation: null, holder: { kind: 'host', hostId: hostNamed('node2').id, epoch: 2 } },
    });
    expect(row.highest_epoch).toBeGreaterThan(1_000_000);
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    expect(await database.db.selectFrom('allocation').select('host_id').where('server_id', '=', id).execute()).toEqual([
      { host_id: hostNamed('node2').id },
    ]);
    // And it can be worked with: a stop and a start under an epoch that no host has refused.
    await second.operations.stop(cloud.admin, id);
    await idle(id);
    await second.operations.start(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active' });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  }, 60_000);

  it.each([
    [
      'every host says that it has not run since',
      false,
      { vm_state: 'suspended', custody: { operation: null, holder: { kind: 'suspended' } } },
    ],
    [
      'a host that is fenced may have run it since',
      true,
      { vm_state: 'stopped', custody: { operation: null, holder: { kind: 'nowhere' } } },
    ],
  ])(
    'a suspended server, when %s',
    async (_why, fenced, wanted) => {
      const first = await cloud.controller('c1');
      const id = await cloud.server(first, 'node1');
      await first.operations.suspend(cloud.admin, id);
      await idle(id);
      expect(await read(id)).toMatchObject({ vm_state: 'suspended' });
      await first.stop();
      const other = hostNamed('node2');
      if (fenced) {
        other.down = true;
        await database.db.updateTable('host').set({ fenced_at: new Date(), reachable: false }).where('id', '=', other.id).execute();
      }
      await sql`update server set custody = jsonb_set(custody, '{behind}', 'true') where id = ${id}`.execute(database.db);
      const second = await cloud.controller('c2');
      await sql`update setting set value = jsonb_set(value, '{table}', '1') where key = 'database-identity'`.execute(database.db);
      await until(async () => Number((await read(id)).highest_epoch) > 1_000_000 && (await read(id)).custody.operation === null, 20_000);
      await until(async () => (await read(id)).vm_state === wanted.vm_state, 20_000);
      expect(await read(id)).toMatchObject(wanted);
      await second.stop();
    },
    60_000,
  );

  it('grants nothing while a host that could hold the server does not answer', async () => {
    const first = await cloud.controller('c1');
    const id = await cloud.server(first, 'node1');
    const snapshot = await read(id);
    await first.operations.stop(cloud.admin, id);
    await idle(id);
    await first.operations.start(cloud.admin, id);
    await idle(id);
    await first.stop();
    await restore({ ...snapshot, vm_state: 'stopped', custody: { ...snapshot.custody, holder: { kind: 'nowhere' } } }, snapshot.fence);
    hostNamed('node3').down = true;
    const second = await cloud.controller('c2');
    await until(async () => (await read(id)).custody.operation?.kind === 'recovery', 20_000);
    await second.operations.start(cloud.admin, id).catch(() => {});
    await idle(id);
    expect((await read(id)).custody.operation?.kind).toBe('recovery');
    expect(hostNamed('node1').guests.get(id)).toMatchObject({ epoch: 2, state: GuestState.RUNNING });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    hostNamed('node3').down = false;
    // Custody's part ends a moment before the row says what was found.
    await until(async () => (await read(id)).vm_state === 'active', 20_000);
    expect(await read(id)).toMatchObject({ epoch: 2, host_id: hostNamed('node1').id, custody: { operation: null } });
    // Nothing was told before every host had answered.
    const told = await database.db
      .selectFrom('instance_action')
      .select('message')
      .where('server_id', '=', id)
      .where('action', '=', 'reconcile')
      .execute();
    expect(new Set(told.map(({ message }) => message))).toEqual(new Set(['The database was older than the hosts. The guest is on node1.']));
  }, 60_000);

  it('is known as put back by a controller that runs on meanwhile, and whose connections live', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node3').down = true;
    // As after `pg_restore --clean`: the tables are others than those that were noted.
    await sql`update setting set value = jsonb_set(value, '{table}', '1') where key = 'database-identity'`.execute(database.db);
    await until(async () => (await read(id)).custody.operation?.kind === 'recovery', 20_000);
    hostNamed('node3').down = false;
    await until(async () => (await read(id)).custody.operation === null, 20_000);
    expect(await read(id)).toMatchObject({ host_id: hostNamed('node1').id, vm_state: 'active', custody: { behind: false } });
    expect(await isRestored(database.db)).toBe(false);
  }, 60_000);

  it('is known as put back by a controller that starts on it, before any host has said a word; what was moved since is found, and started by nobody', async () => {
    const first = await cloud.controller('c1');
    const [id, other] = [await cloud.server(first, 'node1'), await cloud.server(first, 'node1')];
    await first.operations.stop(cloud.admin, id);
    await idle(id);
    await first.stop();
    // A backup: a whole copy of the database, as of now.
    const name = (await sql<{ name: string }>`select current_database() as name`.execute(database.db)).rows[0]?.name ?? '';
    await database.close();
    const maintenance = openDatabase({ url: await postgres.url({ empty: true }) });
    await sql`create database ${sql.ref(`${name}_backup`)} template ${sql.ref(name)}`.execute(maintenance.db);
    const { url } = database;
    database = openDatabase({ url });
    // What the backup does not know: it was started again, and moved away.
    const second = await cloud.controller('c2', undefined, undefined, database);
    await second.operations.start(cloud.admin, id);
    await idle(id);
    const migration = await second.operations.liveMigrate(cloud.admin, id, {
      host: 'node2',
      blockMigration: 'auto',
      force: false,
      checksBeforeAnswer: false,
    });
    await until(
      async () =>
        (await database.db.selectFrom('migration').select('finished_at').where('id', '=', migration).executeTakeFirstOrThrow())
          .finished_at !== null,
    );
    expect(await read(id)).toMatchObject({ host_id: hostNamed('node2').id, vm_state: 'active', epoch: 3 });
    await second.stop();
    await database.close();
    // Put back. The host that has the guest is silent, and the others know nothing that the backup does not (their journals are new).
    hostNamed('node2').down = true;
    hostNamed('node1').guests.delete(id);
    await sql`drop database ${sql.ref(name)}`.execute(maintenance.db);
    await sql`alter database ${sql.ref(`${name}_backup`)} rename to ${sql.ref(name)}`.execute(maintenance.db);
    await maintenance.close();
    database = openDatabase({ url });
    expect(await read(id)).toMatchObject({ vm_state: 'stopped', custody: { holder: { kind: 'nowhere' }, behind: false } });

    const third = await cloud.controller('c3', undefined, undefined, database);
    for (const one of [id, other])
      await until(async () => (await read(one)).custody.operation?.kind === 'recovery' || (await read(one)).custody.behind);
    await third.operations.start(cloud.admin, id);
    await idle(id);
    // Refused: node2 has not reported. A second copy would run now.
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    expect(hostNamed('node2').guests.get(id)).toMatchObject({ state: GuestState.RUNNING, epoch: 3 });
    // Behind at once; asked for when its turn comes.
    await until(async () => (await read(id)).custody.operation?.kind === 'recovery');
    hostNamed('node2').down = false;
    await until(async () => (await read(id)).vm_state === 'active' && (await read(other)).custody.operation === null, 30_000);
    expect(await read(id)).toMatchObject({ host_id: hostNamed('node2').id, epoch: 3, custody: { operation: null, behind: false } });
    expect(await read(other)).toMatchObject({ host_id: hostNamed('node1').id, epoch: 1, vm_state: 'active' });
    for (const one of [id, other]) expect(runningCopies(cloud.hosts, one)).toBe(1);
    await third.stop();
    // Nothing is found restored a second time.
    expect(await isRestored(database.db)).toBe(false);
  }, 90_000);
});
