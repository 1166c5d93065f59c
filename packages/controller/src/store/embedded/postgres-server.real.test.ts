import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { clearWithThisProcess } from '../testing/server-directory.ts';
import { keepPostgres } from './keep-postgres.ts';
import { ensurePostgres, postgresDied, socketDirectoryOf, stopPostgres } from './postgres-server.ts';

const made: { readonly directory: string; readonly kept: () => void }[] = [];

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'gw-pg-'));
  // These servers outlive whoever started them; not a test run that is killed.
  made.push({ directory, kept: clearWithThisProcess(directory) });
  await chmod(directory, 0o755);
  return directory;
}

async function value(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' });
    return (rows as unknown[][])[0]?.[0];
  } finally {
    await client.end();
  }
}

afterEach(async () => {
  for (const { directory, kept } of made.splice(0)) {
    await stopPostgres(directory);
    kept();
    await rm(directory, { recursive: true, force: true });
  }
});

describe('ensurePostgres', () => {
  it('makes a cluster, adopts it when called again, keeps what was committed over a stop', { timeout: 60_000 }, async () => {
    const directory = await scratch();
    const first = await ensurePostgres({ directory });
    expect(first.adopted).toBe(false);
    await value(first.url, 'create table kept as select 42 as n');
    const second = await ensurePostgres({ directory });
    expect(second).toEqual({ ...first, adopted: true });
    expect(await value(first.url, 'show fsync')).toBe('on');
    expect(await value(first.url, 'show listen_addresses')).toBe('');
    expect(await stopPostgres(directory)).toBe(true);
    expect(await stopPostgres(directory)).toBe(false);
    const third = await ensurePostgres({ directory });
    expect(third.pid).not.toBe(first.pid);
    expect(await value(third.url, 'select n from kept')).toBe(42);
  });

  it('outlives a kill -9 of the process that started it', { timeout: 60_000 }, async () => {
    const directory = await scratch();
    const program = `import { ensurePostgres } from ${JSON.stringify(new URL('./postgres-server.ts', import.meta.url).href)};
      const server = await ensurePostgres({ directory: ${JSON.stringify(directory)} });
      process.stdout.write(server.pid + '\\n'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve, reject) => {
      child.stdout.once('data', (data: Buffer) => resolve(Number(data.toString())));
      child.once('exit', (code) => reject(new Error(`exited with ${code}`)));
    });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    expect(await ensurePostgres({ directory })).toMatchObject({ pid, adopted: true });
  });

  it('is started again when it has died, and not when it was stopped', { timeout: 60_000 }, async () => {
    const directory = await scratch();
    const first = await ensurePostgres({ directory });
    await value(first.url, 'create table kept as select 42 as n');
    const kept = keepPostgres(directory, pino({ level: 'silent' }));
    try {
      process.kill(first.pid, 'SIGKILL');
      await expect.poll(() => postgresDied(directory)).toBe(true);
      kept.connectionLost();
      await expect.poll(() => value(first.url, 'select n from kept').catch(() => null), { timeout: 20_000 }).toBe(42);
      await stopPostgres(directory);
      kept.connectionLost();
      await kept.stop();
      expect(await stopPostgres(directory)).toBe(false);
    } finally {
      await kept.stop();
    }
  });

  it('is started once by two callers at the same time', { timeout: 60_000 }, async () => {
    const directory = await scratch();
    const [one, two] = await Promise.all([ensurePostgres({ directory }), ensurePostgres({ directory })]);
    expect(one.pid).toBe(two.pid);
  });

  it('has its database for everybody who finds it running, also before whoever started it has made it', { timeout: 60_000 }, async () => {
    const directory = await scratch();
    const first = await ensurePostgres({ directory });
    const admin = first.url.replace('/godwit?', '/postgres?');
    await value(admin, 'drop database godwit');
    const found = await Promise.all([ensurePostgres({ directory }), ensurePostgres({ directory })]);
    for (const one of found) expect(await value(one.url, 'select current_database()')).toBe('godwit');
  });

  it('runs under a directory that others may not enter', { timeout: 60_000 }, async () => {
    const closed = await scratch();
    await mkdir(join(closed, 'inner'));
    await chmod(closed, 0o700);
    const directory = join(closed, 'inner');
    try {
      const server = await ensurePostgres({ directory });
      expect(await value(server.url, 'select 1')).toBe(1);
    } finally {
      await stopPostgres(directory);
    }
  });

  it('puts the socket of a deep directory where its path is short enough', () => {
    expect(socketDirectoryOf('/srv/lab')).toBe('/srv/lab/socket');
    expect(socketDirectoryOf(`/srv/${'x'.repeat(100)}`)).toMatch(/^\/tmp\/godwit-pg-[0-9a-f]{16}$/);
  });
});
