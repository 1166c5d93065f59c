import { execFile, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { chmod, chown, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { postgresBinaries } from './binaries.ts';
import { runAs } from './run-as.ts';
import { type DatabaseUser, databaseUser } from './unprivileged-user.ts';

const execFileAsync = promisify(execFile);

/** A running PostgreSQL server of ours, reached by a unix socket only. */
export type PostgresServer = {
  /** Connection string of the database `godwit`. */
  readonly url: string;
  readonly pid: number;
  /** True when the server was running already (a controller before us started it). */
  readonly adopted: boolean;
};

export type PostgresServerOptions = {
  /** Absolute or relative directory of ours; the cluster is `<directory>/data`. */
  readonly directory: string;
  /** Only for tests: no fsync. Custody commits need it on. */
  readonly unsafe?: boolean;
};

// A role and a database of this name are made by initdb and the first start.
const NAME = 'godwit';
// sun_path holds 108 bytes with the terminating zero; the socket's own name is 14 of them with the slash.
const SOCKET_DIRECTORY_LIMIT = 107 - '/.s.PGSQL.5432'.length;
const START_DEADLINE_MS = 30_000;

/**
 * Makes sure that the embedded server runs: adopts it if its socket answers, else makes the cluster where absent and starts it, detached, so that it
 * outlives this process. Two processes may call this at once. When it throws, nothing that runs was stopped.
 */
export async function ensurePostgres(options: PostgresServerOptions): Promise<PostgresServer> {
  const directory = resolve(options.directory);
  const dataDirectory = join(directory, 'data');
  const user = await databaseUser();
  const socketDirectory = socketDirectoryOf(directory);
  const url = connectionString(socketDirectory);
  const running = await answeringPid(url, dataDirectory);
  if (running !== null) {
    // Whoever started it may not have come so far yet.
    await createDatabase(url);
    return { url, pid: running, adopted: true };
  }

  await mkdir(directory, { recursive: true });
  await ownDirectory(socketDirectory, user);
  const binaries = await postgresBinaries();
  await initialise(binaries.initdb, directory, user, options.unsafe === true);
  const log = await open(join(directory, 'postgres.log'), 'a');
  try {
    const args = ['-D', dataDirectory, ...serverSettings(socketDirectory, options.unsafe === true)];
    const how = await runAs(user, binaries.postgres, args, [binaries.postgres, dataDirectory, socketDirectory]);
    const child = spawn(how.command, how.args, {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      ...(how.uid === undefined ? {} : { uid: how.uid }),
      ...(how.gid === undefined ? {} : { gid: how.gid }),
    });
    let failed: string | null = null;
    child.once('error', (error) => {
      failed = error.message;
    });
    child.once('exit', (code, signal) => {
      failed = `it exited with ${code ?? signal}`;
    });
    child.unref();
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      const pid = await answeringPid(url, dataDirectory);
      if (pid !== null) {
        await createDatabase(url);
        return { url, pid, adopted: pid !== child.pid };
      }
      // A child that exited may have lost a race against another controller's start: its server then answers within the deadline.
      const gaveUp = failed !== null && !(await postmasterAlive(dataDirectory));
      if (gaveUp || Date.now() > deadline) {
        const words = (await readFile(join(directory, 'postgres.log'), 'utf8').catch(() => '')).trimEnd().split('\n').slice(-8).join('\n');
        throw new Error(
          `the embedded PostgreSQL did not start (${failed ?? 'no answer in 30 s'}); see ${join(directory, 'postgres.log')}, which ends with:\n${words}`,
        );
      }
      await delay(10);
    }
  } finally {
    await log.close();
  }
}

/**
 * Stops the server of `directory` if one runs: connections are ended, everything committed is on disk. Resolves to false when none ran.
 * Throws when it is still there after 30 s.
 */
export async function stopPostgres(directory: string): Promise<boolean> {
  const dataDirectory = join(resolve(directory), 'data');
  const pid = await livePostmaster(dataDirectory);
  if (pid === null) return false;
  process.kill(pid, 'SIGINT');
  const deadline = Date.now() + START_DEADLINE_MS;
  while (await isLivePostgres(pid)) {
    if (Date.now() > deadline) throw new Error(`the embedded PostgreSQL (pid ${pid}) did not stop in 30 s`);
    await delay(10);
  }
  return true;
}

/** True when the server of `directory` has ended without having been stopped: it has left its pid file, and no process has that pid. */
export async function postgresDied(directory: string): Promise<boolean> {
  const dataDirectory = join(resolve(directory), 'data');
  return (await exists(join(dataDirectory, 'postmaster.pid'))) && !(await postmasterAlive(dataDirectory));
}

/** Where the server's socket is: beside the data if the path is short enough, else in a directory of /tmp named after it. */
export function socketDirectoryOf(directory: string): string {
  const beside = join(resolve(directory), 'socket');
  if (Buffer.byteLength(beside) <= SOCKET_DIRECTORY_LIMIT) return beside;
  return `/tmp/godwit-pg-${createHash('sha256').update(beside).digest('hex').slice(0, 16)}`;
}

/** The connection string of a database behind that socket. */
export function connectionString(socketDirectory: string, database = NAME): string {
  return `postgresql://${NAME}@/${database}?host=${encodeURIComponent(socketDirectory)}`;
}

async function ownDirectory(path: string, user: DatabaseUser): Promise<void> {
  await mkdir(path, { recursive: true });
  if (process.getuid?.() === 0) await chown(path, user.uid, user.gid);
  await chmod(path, 0o700);
}

async function initialise(initdb: string, directory: string, user: DatabaseUser, unsafe: boolean): Promise<void> {
  const dataDirectory = join(directory, 'data');
  if (await exists(join(dataDirectory, 'PG_VERSION'))) return;
  // Made aside and renamed, so that a crash in the middle leaves nothing that looks like a cluster.
  const fresh = join(directory, `data.new-${randomUUID()}`);
  await rm(fresh, { recursive: true, force: true });
  await ownDirectory(fresh, user);
  try {
    const args = ['-D', fresh, '-U', NAME, '-A', 'peer', '-E', 'UTF8', '--locale=C', ...(unsafe ? ['--no-sync'] : [])];
    const how = await runAs(user, initdb, args, [initdb, fresh]);
    await execFileAsync(how.command, [...how.args], {
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      ...(how.uid === undefined ? {} : { uid: how.uid }),
      ...(how.gid === undefined ? {} : { gid: how.gid }),
    });
    // Only processes of root, of the server's user and of ours reach the socket; the kernel says who they are.
    const names = new Set([user.name, userInfo().username, 'root']);
    await writeFile(join(fresh, 'pg_hba.conf'), `local all ${NAME} peer map=${NAME}\n`);
    await writeFile(join(fresh, 'pg_ident.conf'), [...names].map((name) => `${NAME} ${name} ${NAME}\n`).join(''));
    await rename(fresh, dataDirectory);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (await exists(join(dataDirectory, 'PG_VERSION'))) return;
    throw new Error(`initdb failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Memory settings keep the sum of the server's processes small; a control plane's working set is a few megabytes. */
function serverSettings(socketDirectory: string, unsafe: boolean): readonly string[] {
  const settings: Readonly<Record<string, string>> = {
    listen_addresses: '',
    unix_socket_directories: socketDirectory,
    unix_socket_permissions: '0700',
    max_connections: unsafe ? '600' : '60',
    shared_buffers: '24MB',
    wal_buffers: '1MB',
    max_wal_size: '256MB',
    max_wal_senders: '0',
    wal_level: 'minimal',
    max_parallel_workers: '0',
    max_worker_processes: '2',
    io_method: 'sync',
    jit: 'off',
    autovacuum_naptime: '30s',
    logging_collector: 'off',
    log_checkpoints: 'off',
    ...(unsafe ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : { fsync: 'on', synchronous_commit: 'on' }),
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
}

async function answeringPid(url: string, dataDirectory: string): Promise<number | null> {
  const client = new pg.Client({ connectionString: url.replace(`/${NAME}?`, '/postgres?'), connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
  } catch {
    return null;
  }
  try {
    return await livePostmaster(dataDirectory);
  } finally {
    await client.end();
  }
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url.replace(`/${NAME}?`, '/postgres?') });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [NAME]);
    if (rowCount === 0) await client.query(`create database ${NAME}`);
  } catch (error) {
    // 42P04, 23505: another controller made it in between.
    const code = (error as { readonly code?: string }).code;
    if (code !== '42P04' && code !== '23505') throw error;
  } finally {
    await client.end();
  }
}

async function postmasterAlive(dataDirectory: string): Promise<boolean> {
  return (await livePostmaster(dataDirectory)) !== null;
}

async function livePostmaster(dataDirectory: string): Promise<number | null> {
  let text: string;
  try {
    text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8');
  } catch {
    return null;
  }
  const pid = Number(text.split('\n')[0]);
  return Number.isSafeInteger(pid) && pid > 1 && (await isLivePostgres(pid)) ? pid : null;
}

/** A process whose pid was used again, or that is only waiting to be reaped, is not our server. */
async function isLivePostgres(pid: number): Promise<boolean> {
  try {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8');
    return status.slice(status.indexOf('('), status.lastIndexOf(')')) === '(postgres' && !/\) [ZX] /.test(status);
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
