import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openDatabase } from './database.ts';
import { migrate, readSchemaSteps } from './migrate.ts';
import { startTestServer, type TestServer } from './test-database.ts';

let server: TestServer;
let directory: string;

beforeAll(async () => {
  server = await startTestServer();
  directory = await mkdtemp(join(tmpdir(), 'gw-schema-'));
}, 60_000);
afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}, 60_000);

describe('migrate', () => {
  it('runs every step once, also when several controllers start at once', async () => {
    const url = await server.url({ empty: true });
    const names = (await readSchemaSteps()).map((step) => step.name);
    const ran = await Promise.all([migrate(url), migrate(url), migrate(url)]);
    expect(ran.flat().sort()).toEqual([...names].sort());
    expect(await migrate(url)).toEqual([]);
  });

  it('refuses an edited step, a database newer than the program, and leaves nothing of a failed step', async () => {
    const url = await server.url({ empty: true });
    const at = pathToFileURL(`${directory}/`);
    await writeFile(join(directory, '0001-first.sql'), 'create table first (n integer);');
    await writeFile(join(directory, '0020-second.sql'), 'create table second (n integer);');
    expect(await migrate(url, at)).toEqual(['0001-first', '0020-second']);
    // A lower number that arrives later is still run: ranges of numbers belong to different areas.
    await writeFile(join(directory, '0002-third.sql'), 'create table third (n integer); select 1/0;');
    await expect(migrate(url, at)).rejects.toThrow('0002-third failed: division by zero');
    const database = openDatabase({ url });
    const { rows } = await sql<{ name: string }>`select tablename as name from pg_tables where schemaname = 'public' order by 1`.execute(
      database.db,
    );
    expect(rows.map((row) => row.name)).toEqual(['first', 'schema_step', 'second']);
    await database.close();
    await rm(join(directory, '0002-third.sql'));
    await writeFile(join(directory, '0001-first.sql'), 'create table first (n bigint);');
    await expect(migrate(url, at)).rejects.toThrow('0001-first was changed');
    await rm(join(directory, '0001-first.sql'));
    await expect(migrate(url, at)).rejects.toThrow('older than the database');
  });
});

describe('openDatabase', () => {
  it('gives bigint as number and survives the server ending its connections', async () => {
    const errors: string[] = [];
    const database = openDatabase({ url: await server.url(), onConnectionError: (error) => errors.push(error.message) });
    const { rows } = await sql<{ n: number }>`select 9007199254740991::bigint as n`.execute(database.db);
    expect(rows).toEqual([{ n: Number.MAX_SAFE_INTEGER }]);
    await expect(sql`select 9007199254740993::bigint as n`.execute(database.db)).rejects.toThrow('beyond 2^53');
    await sql`select pg_terminate_backend(pg_backend_pid())`.execute(database.db).catch(() => {});
    // The pool may hand out the ended connection once more before it hears of its end.
    await vi.waitFor(async () => expect((await sql<{ n: number }>`select 7 as n`.execute(database.db)).rows).toEqual([{ n: 7 }]), {
      timeout: 15_000,
    });
    expect(errors.length).toBeGreaterThan(0);
    await database.close();
  });
});
