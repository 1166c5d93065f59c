import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { openSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { endOf, lastWords } from '@godwit/contract/testing/last-words';

const run = promisify(execFile);

export type OneNodeCeph = {
  readonly conf: string;
  readonly pool: string;
  readonly user: string;
  ceph(...args: readonly string[]): Promise<string>;
  close(): Promise<void>;
};

const ports = { v2: 13_300, v1: 16_789 } as const;
const blockBytes = 4 * 1024 ** 3;

/**
 * A real Ceph cluster of one monitor, one manager and one OSD (BlueStore on a file with holes) with one pool of a single copy, and a user with the rights that docs/storage.md names. Needs the packages ceph-mon, ceph-mgr, ceph-osd and
 * ceph-common; `close` leaves no process and nothing of `dir`.
 */
export async function startOneNodeCeph(dir: string, address: string): Promise<OneNodeCeph> {
  const at = (name: string): string => join(dir, name);
  for (const name of ['mon', 'osd', 'mgr', 'run']) await mkdir(at(name), { recursive: true });
  const [fsid, osd, pool] = [randomUUID(), randomUUID(), 'vms'];
  const conf = at('ceph.conf');
  const settings = {
    fsid,
    'mon host': `[v2:${address}:${ports.v2},v1:${address}:${ports.v1}]`,
    'public addr': address,
    keyring: at('keyring'),
    'run dir': at('run'),
    'admin socket': `${at('run')}/$name.$pid.asok`,
    'log file': `${at('run')}/$name.log`,
    'crash dir': at('run'),
    'mon data': at('mon'),
    'osd data': at('osd'),
    'mgr data': at('mgr'),
    'osd objectstore': 'bluestore',
    'bluestore block size': blockBytes,
    'osd memory target': 939_524_096,
    'osd pool default size': 1,
    'osd pool default min size': 1,
    'osd crush chooseleaf type': 0,
    'mon allow pool size one': true,
    'auth allow insecure global id reclaim': false,
    'mon data avail crit': 1,
    'mon data avail warn': 1,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}`);
  await writeFile(conf, ['[global]', ...lines, '[client]', 'admin socket =', 'log file =', ''].join('\n'));
  const rights: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'mon.': { mon: 'allow *' },
    'client.admin': { mon: 'allow *', osd: 'allow *', mgr: 'allow *' },
    'osd.0': { mon: 'allow profile osd', osd: 'allow *', mgr: 'allow profile osd' },
    'mgr.x': { mon: 'allow profile mgr', osd: 'allow *', mds: 'allow *' },
    'client.godwit': { mon: 'profile rbd', osd: `profile rbd pool=${pool}`, mgr: `profile rbd pool=${pool}` },
  };
  await run('ceph-authtool', ['--create-keyring', at('keyring')]);
  for (const [name, caps] of Object.entries(rights))
    await run('ceph-authtool', [
      at('keyring'),
      '--gen-key',
      '-n',
      name,
      ...Object.entries(caps).flatMap(([service, cap]) => ['--cap', service, cap]),
    ]);
  await run('monmaptool', ['--create', '--addv', 'a', settings['mon host'], '--fsid', fsid, at('monmap')]);
  await run('ceph-mon', ['-c', conf, '--mkfs', '-i', 'a', '--monmap', at('monmap'), '--keyring', at('keyring')]);
  const daemons: ChildProcess[] = [];
  const start = (program: string, id: string): void => {
    const log = openSync(at(`run/${program}.out`), 'a');
    daemons.push(spawn(program, ['-c', conf, '-i', id, '-f'], { stdio: ['ignore', log, log] }));
  };
  const ceph = async (...args: readonly string[]): Promise<string> =>
    (await run('ceph', ['-c', conf, '--connect-timeout', '30', ...args])).stdout;
  const close = async (): Promise<void> => {
    for (const daemon of daemons.toReversed()) {
      if (daemon.exitCode !== null || daemon.signalCode !== null || daemon.pid === undefined) continue;
      const ended = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGKILL');
      await ended;
    }
    await rm(dir, { recursive: true, force: true });
  };
  try {
    start('ceph-mon', 'a');
    await ceph('auth', 'import', '-i', at('keyring'));
    start('ceph-mgr', 'x');
    await ceph('osd', 'new', osd);
    await run('ceph-osd', ['-c', conf, '-i', '0', '--mkfs', '--osd-uuid', osd]);
    start('ceph-osd', '0');
    await ceph('osd', 'pool', 'create', pool, '8');
    await ceph('osd', 'pool', 'application', 'enable', pool, 'rbd');
    for (const until = performance.now() + 60_000; !(await usable(ceph, pool)); await new Promise((resolve) => setTimeout(resolve, 200)))
      if (performance.now() > until)
        throw new Error(`the cluster is not usable: ${daemons.map(endOf).join(', ')}\n${await lastWords(at('run/ceph-osd.out'))}`);
    return { conf, pool, user: 'godwit', ceph, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Its placement groups serve, and the manager has reckoned the pool's room. */
async function usable(ceph: OneNodeCeph['ceph'], pool: string): Promise<boolean> {
  const { pgmap } = JSON.parse(await ceph('status', '--format', 'json')) as {
    readonly pgmap: { readonly pgs_by_state?: readonly { readonly state_name: string }[] };
  };
  const pgs = pgmap.pgs_by_state ?? [];
  const { pools } = JSON.parse(await ceph('df', '--format', 'json')) as {
    pools: readonly { name: string; stats: { max_avail: number } }[];
  };
  return (
    pgs.length > 0 &&
    pgs.every(({ state_name: state }) => state === 'active+clean') &&
    (pools.find(({ name }) => name === pool)?.stats.max_avail ?? 0) > 0
  );
}
