import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { endOf, lastWords } from '@godwit/contract/testing/last-words';
import pg from 'pg';
import { postgresBinaries } from '../embedded/binaries.ts';
import { connectionString } from '../embedded/postgres-server.ts';
import { runAs } from '../embedded/run-as.ts';
import { databaseUser } from '../embedded/unprivileged-user.ts';
import { clearWithThisProcess, makeServerDirectory, removeServerDirectory } from './server-directory.ts';

const run = promisify(execFile);
const NAME = 'godwit';
const START_MS = 30_000;

/** A PostgreSQL primary with a streaming standby, both real, behind one address that leads to one of them, as a virtual address or a proxy does. */
export type ReplicatedServer = {
  /** The one address: an empty database of the primary, or of the standby after the failover. */
  readonly url: string;
  /** Commits wait for the standby from now on. Resolves when it confirms. */
  readonly synchronous: () => Promise<void>;
  /** Resolves when the standby has everything that is committed by now. */
  readonly caughtUp: () => Promise<void>;
  /** The standby hears nothing of what is committed from now on. */
  readonly cutStandby: () => Promise<void>;
  /** The primary is killed (SIGKILL), the standby promoted, and the address leads there. */
  readonly failover: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** No fsync: the machine stays up, only processes die. */
export async function startReplicatedServer(): Promise<ReplicatedServer> {
  const directory = await makeServerDirectory();
  const [user, binaries] = await Promise.all([databaseUser(), postgresBinaries()]);
  const at = (...parts: readonly string[]): string => join(directory, ...parts);
  const asUser = async (program: string, args: readonly string[]) => {
    const how = await runAs(user, program, args, [program, directory]);
    const options = {
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      ...(how.uid === undefined ? {} : { uid: how.uid }),
      ...(how.gid === undefined ? {} : { gid: how.gid }),
    };
    return { command: how.command, args: [...how.args], options };
  };
  const servers = new Map<string, { readonly child: ChildProcess; readonly keep: () => void }>();
  const direct = async <Row extends pg.QueryResultRow>(name: string, text: string): Promise<readonly Row[]> => {
    const client = new pg.Client({ connectionString: connectionString(at(name, 'socket'), 'postgres') });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  };
  const start = async (name: string): Promise<void> => {
    const settings = [
      'listen_addresses=',
      `unix_socket_directories=${at(name, 'socket')}`,
      // Not below what the cluster was made with: a standby would not start.
      'max_connections=100',
      'shared_buffers=24MB',
      'wal_level=replica',
      'max_wal_senders=10',
      'hot_standby=on',
      'fsync=off',
      'jit=off',
      // In the data directory, where it goes with a server that is killed.
      'dynamic_shared_memory_type=mmap',
    ];
    const { command, args, options } = await asUser(binaries.postgres, [
      '-D',
      at(name, 'data'),
      ...settings.flatMap((setting) => ['-c', setting]),
    ]);
    const log = openSync(at(`${name}.log`), 'a');
    const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    servers.set(name, { child, keep: clearWithThisProcess(at(name)) });
    const words = () => lastWords(at(`${name}.log`));
    const look = async (): Promise<boolean> => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Ended(`PostgreSQL ${name} ${endOf(child)}; its last words:\n${await words()}`);
      return (await direct(name, 'select 1')).length === 1;
    };
    await eventually(`PostgreSQL ${name} answers`, look, words);
  };
  const end = async (name: string, signal: NodeJS.Signals): Promise<void> => {
    const server = servers.get(name);
    if (server === undefined) return;
    servers.delete(name);
    const { child } = server;
    // One line of it ends with the id of the segment of shared memory, which a server that is killed leaves to the system.
    const pidFile = await readFile(at(name, 'data', 'postmaster.pid'), 'utf8').catch(() => '');
    const ended = new Promise<void>((done) =>
      child.exitCode === null && child.signalCode === null ? child.once('exit', () => done()) : done(),
    );
    child.kill(signal);
    await ended;
    server.keep();
    const segment = /^\s*\d+\s+(\d+)\s*$/m.exec(pidFile)?.[1];
    if (signal === 'SIGKILL' && segment !== undefined) await run('ipcrm', ['-m', segment]).catch(() => undefined);
  };

  const stopServers = async (): Promise<void> => {
    await Promise.all([...servers.keys()].map((name) => end(name, 'SIGQUIT')));
    await removeServerDirectory(directory);
  };
  try {
    for (const name of ['primary', 'standby']) {
      await mkdir(at(name, 'socket'), { recursive: true });
      if (process.getuid?.() === 0) for (const path of [at(name), at(name, 'socket')]) await chown(path, user.uid, user.gid);
    }
    const initdb = await asUser(binaries.initdb, [
      '-D',
      at('primary', 'data'),
      '-U',
      NAME,
      '-A',
      'peer',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
    ]);
    await run(initdb.command, initdb.args, initdb.options);
    const names = new Set([user.name, userInfo().username, 'root']);
    await writeFile(at('primary', 'data', 'pg_hba.conf'), `local all,replication ${NAME} peer map=${NAME}\n`);
    await writeFile(at('primary', 'data', 'pg_ident.conf'), [...names].map((one) => `${NAME} ${one} ${NAME}\n`).join(''));
    // A copy of a cluster that has never run is a whole backup of it.
    await run('cp', ['-a', at('primary', 'data'), at('standby', 'data')]);
    await writeFile(at('standby', 'data', 'standby.signal'), '');
    await writeFile(
      at('standby', 'data', 'postgresql.auto.conf'),
      `primary_conninfo = 'host=${at('primary', 'socket')} user=${NAME} application_name=standby'\n`,
    );
    await start('primary');
    await direct('primary', `create database ${NAME}`);
    await start('standby');
  } catch (error) {
    await stopServers();
    throw error;
  }

  const caughtUp = (): Promise<void> =>
    eventually('the standby has everything', async () => {
      const rows = await direct<{ all: boolean }>('primary', 'select replay_lsn >= pg_current_wal_lsn() as all from pg_stat_replication');
      return rows.some(({ all }) => all);
    });

  let leadsTo = 'primary';
  const open = new Set<Socket>();
  const address: Server = createServer((socket) => {
    const beyond = createConnection(at(leadsTo, 'socket', '.s.PGSQL.5432'));
    for (const [one, other] of [
      [socket, beyond],
      [beyond, socket],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await mkdir(at('address'));
  await new Promise<void>((done) => address.listen(at('address', '.s.PGSQL.5432'), done));

  return {
    url: connectionString(at('address')),
    synchronous: async () => {
      await direct('primary', `alter system set synchronous_standby_names = 'standby'`);
      await direct('primary', 'select pg_reload_conf()');
      await eventually('the standby confirms', async () => {
        const rows = await direct<{ sync_state: string }>('primary', 'select sync_state from pg_stat_replication');
        return rows.some(({ sync_state }) => sync_state === 'sync');
      });
    },
    caughtUp,
    cutStandby: () => end('standby', 'SIGINT'),
    failover: async () => {
      await end('primary', 'SIGKILL');
      if (!servers.has('standby')) await start('standby');
      leadsTo = 'standby';
      for (const socket of open) socket.destroy();
      const [promoted] = await direct<{ pg_promote: boolean }>('standby', 'select pg_promote()');
      if (promoted?.pg_promote !== true) throw new Error('the standby was not promoted');
    },
    stop: async () => {
      await new Promise((done) => {
        address.close(done);
        for (const socket of open) socket.destroy();
      });
      await stopServers();
    },
  };
}

/** What is waited for will not come. */
class Ended extends Error {}

async function eventually(what: string, look: () => Promise<boolean>, words?: () => Promise<string>): Promise<void> {
  let last: unknown = 'it is not so';
  for (const until = Date.now() + START_MS; ; ) {
    const there = await look().catch((error: unknown) => {
      if (error instanceof Ended) throw error;
      last = error;
      return false;
    });
    if (there) return;
    if (Date.now() > until) throw new Error(`not within ${START_MS} ms: ${what} (${String(last)})${words ? `\n${await words()}` : ''}`);
    await delay(20);
  }
}
