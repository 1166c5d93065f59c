import { createHash, randomUUID } from 'node:crypto';
import pg from 'pg';
import { type Database, openDatabase } from './database.ts';
import { connectionString, ensurePostgres, socketDirectoryOf, stopPostgres } from './embedded/postgres-server.ts';
import { migrate } from './migrate.ts';
import { clearWithThisProcess, makeServerDirectory, removeServerDirectory, SHARED_SERVER } from './testing/server-directory.ts';

/**
 * Databases for one test file (no fsync), on the server that the test run's files share, or on one of its own outside such a run. Use:
 *
 *     const server = await startTestServer();         // beforeAll, about 1 s for the first file, then 20 ms
 *     const database = await server.database();       // each test, about 30 ms: fresh, with the whole schema
 *     await server.stop();                            // afterAll: also closes and drops every database
 *
 * A test run that dies takes the server with it.
 */
export type TestServer = {
  readonly database: () => Promise<Database>;
  /** Connection string of a fresh database, with the schema unless `empty`; for code that opens it by itself. */
  readonly url: (options?: { readonly empty: boolean }) => Promise<string>;
  readonly stop: () => Promise<void>;
};

export async function startTestServer(): Promise<TestServer> {
  const shared = process.env[SHARED_SERVER];
  const directory = shared ?? (await makeServerDirectory());
  const keep = shared === undefined ? clearWithThisProcess(directory) : () => {};
  const server = await ensurePostgres({ directory, unsafe: true });
  const socketDirectory = socketDirectoryOf(directory);
  const admin = new pg.Client({ connectionString: server.url });
  admin.on('error', () => {});
  await admin.connect();
  const template = await ensureTemplate(admin, socketDirectory);
  const opened: Database[] = [];
  const names: string[] = [];
  const url = async (options?: { readonly empty: boolean }): Promise<string> => {
    const name = `test_${randomUUID().replaceAll('-', '')}`;
    // A plain copy of the files: several times faster than through the log, and nobody recovers this server.
    await admin.query(`create database ${name}${options?.empty === true ? '' : ` template ${template}`} strategy file_copy`);
    names.push(name);
    return connectionString(socketDirectory, name);
  };
  return {
    url,
    database: async () => {
      const database = openDatabase({ url: await url() });
      opened.push(database);
      return database;
    },
    stop: async () => {
      // A test that failed may still hold connections: the end of the server, or of the database, ends them.
      await Promise.race([
        Promise.all(opened.map((database) => database.close().catch(() => {}))),
        new Promise((done) => setTimeout(done, 2_000).unref()),
      ]);
      if (shared !== undefined) for (const name of names) await admin.query(`drop database ${name} with (force)`);
      await admin.end();
      if (shared !== undefined) return;
      await stopPostgres(directory);
      keep();
      await removeServerDirectory(directory);
    },
  };
}

/** The name of a database with the whole schema, made by whichever file comes first. */
async function ensureTemplate(admin: pg.Client, socketDirectory: string): Promise<string> {
  const template = `template_${createHash('sha256').update(socketDirectory).digest('hex').slice(0, 8)}`;
  await admin.query('select pg_advisory_lock(1)');
  try {
    const { rowCount } = await admin.query('select 1 from pg_database where datname = $1', [template]);
    if (rowCount === 0) {
      const unfinished = `${template}_unfinished`;
      await admin.query(`drop database if exists ${unfinished}`);
      await admin.query(`create database ${unfinished}`);
      await migrate(connectionString(socketDirectory, unfinished));
      await admin.query(`alter database ${unfinished} rename to ${template}`);
    }
  } finally {
    await admin.query('select pg_advisory_unlock(1)');
  }
  return template;
}
