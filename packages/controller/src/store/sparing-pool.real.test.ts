import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Database, openDatabase } from './database.ts';
import { later } from './sparing-pool.ts';
import { startTestServer, type TestServer } from './test-database.ts';

let server: TestServer;
let database: Database;
/** One connection: what one statement leaves on it the next one meets. */
let one: Database;
beforeAll(async () => {
  server = await startTestServer();
  database = await server.database();
  one = openDatabase({ url: database.url, maxConnections: 1 });
  await sql`create table thing (id int primary key, word text not null)`.execute(one.db);
});
afterAll(async () => {
  await one?.close();
  await server?.stop();
});

const words = async (on: Database): Promise<readonly string[]> =>
  (await sql<{ word: string }>`select word from thing order by id`.execute(on.db)).rows.map(({ word }) => word);

it('what is begun with its first statement is a transaction from that statement on', async () => {
  await one.db.transaction().execute(async (tx) => {
    await sql`insert into thing values (1, 'first')`.execute(tx);
    expect(await words(database)).toEqual([]);
  });
  expect(await words(database)).toEqual(['first']);
  await expect(
    one.db.transaction().execute(async (tx) => {
      await sql`insert into thing values (2, 'second')`.execute(tx);
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  await expect(
    one.db.transaction().execute(async (tx) => {
      await sql`insert into thing values (1, 'again')`.execute(tx).catch(() => {});
      await sql`insert into thing values (3, 'third')`.execute(tx);
    }),
  ).rejects.toMatchObject({ code: '25P02' });
  expect(await words(database)).toEqual(['first']);
  await one.db.transaction().execute(async () => {});
  await expect(
    one.db.transaction().execute(async () => {
      throw new Error('nothing was begun');
    }),
  ).rejects.toThrow('nothing was begun');
  // No transaction is left open on the one connection.
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(one.db);
  await expect
    .poll(async () => (await sql`select state from pg_stat_activity where pid = ${rows[0]?.pid}`.execute(database.db)).rows)
    .toEqual([{ state: 'idle' }]);
});

it('a statement that comes often is prepared once, and goes on when what it reads is altered', async () => {
  const read = () => sql<{ id: number; word: string }>`select * from thing where id = ${1}`.execute(one.db);
  for (let turn = 0; turn < 40; turn += 1) expect((await read()).rows).toEqual([{ id: 1, word: 'first' }]);
  const prepared = async () =>
    (await sql<{ name: string; statement: string }>`select name, statement from pg_prepared_statements`.execute(one.db)).rows;
  expect(await prepared()).toMatchObject([{ statement: 'select * from thing where id = $1' }]);
  await sql`alter table thing add column more int`.execute(database.db);
  expect((await read()).rows).toEqual([{ id: 1, word: 'first', more: null }]);
  for (let turn = 0; turn < 40; turn += 1) await read();
  await sql`alter table thing drop column more`.execute(database.db);
  // In a transaction it fails, which is over with it; after it nothing is left to fail.
  await expect(one.db.transaction().execute((tx) => sql`select * from thing where id = ${1}`.execute(tx))).rejects.toMatchObject({
    code: '0A000',
  });
  expect((await one.db.transaction().execute((tx) => sql`select * from thing where id = ${1}`.execute(tx))).rows).toEqual([
    { id: 1, word: 'first' },
  ]);
});

it('a connection that dies with a transaction’s beginning fails it, and the pool goes on', async () => {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(one.db);
  await expect(
    one.db.transaction().execute(async (tx) => {
      await sql`select pg_terminate_backend(${rows[0]?.pid ?? 0})`.execute(database.db);
      await sql`insert into thing values (4, 'fourth')`.execute(tx);
    }),
  ).rejects.toThrow();
  await expect.poll(() => words(one).catch(() => [])).toEqual(['first']);
});

it('what travels together is answered in its order, and what stands behind a failure is not done', async () => {
  await sql`delete from thing`.execute(one.db);
  const put = (id: number, word: string) => sql`${later}insert into thing values (${id}, ${word})`;
  for (let turn = 0; turn < 40; turn += 1)
    await one.db.transaction().execute(async (tx) => {
      await put(2 * turn, 'even').execute(tx);
      // The same statement twice in one go, also when it is new to the connection.
      await put(2 * turn + 1, 'odd').execute(tx);
      const { rows } = await sql<{ count: number; none: null }>`select count(*) as count, null as none from thing`.execute(tx);
      expect(rows).toEqual([{ count: 2 * turn + 2, none: null }]);
      const { numAffectedRows } = await sql`update thing set word = word where id < ${2}`.execute(tx);
      expect(numAffectedRows).toBe(2n);
    });
  await expect(
    one.db.transaction().execute(async (tx) => {
      await put(0, 'taken').execute(tx);
      await put(1_000, 'behind it').execute(tx);
    }),
  ).rejects.toMatchObject({ code: '23505' });
  // A value that cannot be sent, and one that cannot be read, leave the connection as it was.
  const endless: { itself?: unknown } = {};
  endless.itself = endless;
  await expect(sql`select ${endless}::text as word`.execute(one.db)).rejects.toThrow(/circular/);
  await expect(sql`select 9007199254740993::bigint as large`.execute(one.db)).rejects.toThrow(/beyond 2\^53/);
  expect((await sql<{ count: number }>`select count(*) as count from thing`.execute(one.db)).rows).toEqual([{ count: 80 }]);
});

it('a statement that cannot be sent voids its transaction: nothing before it is lost by itself, nothing after it stands by itself', async () => {
  await sql`delete from thing`.execute(one.db);
  const endless: { itself?: unknown } = {};
  endless.itself = endless;
  const unsendable = [sql`select ${endless}::text as word`, sql`${later}insert into thing values (6, ${endless}::text)`];
  for (const statement of unsendable) {
    // The answer of neither is waited for: the commit, and what comes before it, tell.
    await expect(
      one.db.transaction().execute(async (tx) => {
        await sql`${later}insert into thing values (1, 'held')`.execute(tx);
        await statement.execute(tx).catch(() => undefined);
      }),
    ).rejects.toThrow(/void/);
    await expect(
      one.db.transaction().execute(async (tx) => {
        await sql`insert into thing values (2, 'sent')`.execute(tx);
        await statement.execute(tx).catch(() => undefined);
        await expect(sql`insert into thing values (3, 'after')`.execute(tx)).rejects.toThrow(/void/);
        await sql`${later}insert into thing values (4, 'after')`.execute(tx).catch(() => undefined);
      }),
    ).rejects.toThrow(/void/);
    expect(await words(one)).toEqual([]);
  }
  await one.db.transaction().execute((tx) => sql`insert into thing values (5, 'next')`.execute(tx));
  expect(await words(database)).toEqual(['next']);
});

it('two who use the connections of one pool, of which one gives way to requests, prepare under the same names', async () => {
  const answers = async (db: Database['db'], words: readonly string[]): Promise<void> => {
    for (let round = 0; round < 40; round++)
      for (const word of words)
        expect((await sql`select ${sql.lit(word)} as said, ${round}::int as round`.execute(db)).rows).toEqual([{ said: word, round }]);
  };
  await answers(one.background, ['first', 'both']);
  await answers(one.givingWay, ['second', 'both']);
  await one.db.transaction().execute(async (tx) => {
    // A request has its connection; one of those that give way may work all the same.
    await answers(tx, ['request']);
    await answers(one.givingWay, ['least']);
  });
});
