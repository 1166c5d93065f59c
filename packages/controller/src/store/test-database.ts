import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Database, openDatabase } from './database.ts';
import { connectionString, ensurePostgres, socketDirectoryOf, stopPostgres } from './embedded/postgres-server.ts';
import { migrate } from './migrate.ts';

/**
 * A PostgreSQL server for one test file (no fsync). Use:
 *
 *     const server = await startTestServer();         // beforeAll, about 1 s
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
  const directory = await mkdtemp(join(tmpdir(), 'gw-test-pg-'));
  await chmod(directory, 0o755);
  const server = await ensurePostgres({ directory, unsafe: true });
  const stopWatching = stopWithThisProcess(server.pid, directory);
  const socketDirectory = socketDirectoryOf(directory);
  const template = `template_${createHash('sha256').update(directory).digest('hex').slice(0, 8)}`;
  const admin = new pg.Client({ connectionString: server.url });
  admin.on('error', () => {});
  await admin.connect();
  await admin.query(`create database ${template}`);
  await migrate(connectionString(socketDirectory, template));
  const opened: Database[] = [];
  const url = async (options?: { readonly empty: boolean }): Promise<string> => {
    const name = `test_${randomUUID().replaceAll('-', '')}`;
    await admin.query(`create database ${name}${options?.empty === true ? '' : ` template ${template}`}`);
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
      // A test that failed may still hold connections: the server's end ends them.
      await Promise.race([
        Promise.all(opened.map((database) => database.close().catch(() => {}))),
        new Promise((done) => setTimeout(done, 2_000).unref()),
      ]);
      await admin.end();
      await stopPostgres(directory);
      stopWatching();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A shell that waits for the end of its input, which comes when this process ends in any way, then stops the server and removes its files. */
function stopWithThisProcess(pid: number, directory: string): () => void {
  const script = `read -r answer; [ "$answer" = done ] && exit 0; kill -QUIT ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.05; done; rm -rf '${directory}'`;
  const watcher = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watcher.unref();
  (watcher.stdin as unknown as { unref: () => void }).unref();
  return () => {
    watcher.stdin.end('done\n');
  };
}
