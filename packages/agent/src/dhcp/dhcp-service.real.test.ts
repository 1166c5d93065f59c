import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { AddressLease } from '@godwit/domain/network-policy';
import { afterAll, beforeAll, expect, test } from 'vitest';

/* Two hosts, each with a bridge and a "tap" that leads to the same guest: it asks at one host, and again at the other, as after a move. */

const name = (part: string): string => `gwd${process.pid}${part}`;
const [guest, hostA, hostB] = [name('g'), name('a'), name('b')];
const tap = 'gt0a1b2c3d';
const mac = 'fa:16:3e:00:00:01';
const lease: AddressLease = {
  address: '10.7.0.5',
  prefixLength: 24,
  gateway: '10.7.0.1',
  nameservers: ['9.9.9.9'],
  mtu: 1450,
  hostname: 'web',
};
const run = promisify(execFile);
const sync = (namespace: string, ...command: readonly string[]): string =>
  execFileSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8' });
const children: ChildProcess[] = [];
let directory: string;

async function serve(host: string, what: AddressLease): Promise<ChildProcess> {
  const program = join(import.meta.dirname, '../testing/serve-leases.ts');
  const child = spawn('ip', ['netns', 'exec', host, process.execPath, program, tap, mac, JSON.stringify(what)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

beforeAll(() => {
  directory = mkdtempSync('/tmp/gw-dhcp-');
  writeFileSync(join(directory, 'script'), '#!/bin/sh\n[ "$1" = deconfig ] || echo "$1 $ip/$mask $router $dns $mtu $hostname $lease"\n', {
    mode: 0o755,
  });
  for (const namespace of [guest, hostA, hostB]) execFileSync('ip', ['netns', 'add', namespace]);
  // Nothing but DHCP comes from it, so that the bridges show whether they have seen that.
  sync(guest, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  for (const [index, host] of [hostA, hostB].entries()) {
    sync(host, 'ip', 'link', 'set', 'lo', 'up');
    sync(host, 'ip', 'link', 'add', 'br0', 'type', 'bridge');
    sync(host, 'ip', 'link', 'set', 'br0', 'up');
    sync(host, 'ip', 'link', 'add', tap, 'type', 'veth', 'peer', 'name', `eth${index}`, 'address', mac, 'netns', guest);
    sync(host, 'ip', 'link', 'set', tap, 'master', 'br0', 'up');
    sync(guest, 'ip', 'link', 'set', `eth${index}`, 'up');
  }
});
afterAll(async () => {
  for (const child of children) await ended(child);
  for (const namespace of [guest, hostA, hostB]) execFileSync('ip', ['netns', 'del', namespace]);
  rmSync(directory, { recursive: true });
});

/** What the client ends with: its script's word and settings, or null when nobody answers. */
const ask = (device: string, ...more: readonly string[]): Promise<string | null> =>
  run('ip', [
    'netns',
    'exec',
    guest,
    'busybox',
    'udhcpc',
    '-i',
    device,
    '-f',
    '-q',
    '-n',
    '-t',
    // A second each: an answer ends them.
    '15',
    '-T',
    '1',
    '-s',
    join(directory, 'script'),
    ...more,
  ]).then(
    ({ stdout }) => stdout.split('\n').findLast((line) => line.startsWith('bound')) ?? null,
    () => null,
  );

test('a standard client gets its address, and the same one from the host that its guest is moved to; without a lease nobody answers', async () => {
  const bound = 'bound 10.7.0.5/24 10.7.0.1 9.9.9.9 1450 web 86400';
  const first = await serve(hostA, lease);
  expect(await ask('eth0')).toBe(bound);
  // The frames are taken off the tap: the bridge, and so the network, sees no request.
  expect(sync(hostA, 'bridge', 'fdb', 'show', 'br', 'br0')).not.toContain(mac);
  await serve(hostB, lease);
  expect(await ask('eth1', '-r', '10.7.0.5')).toBe(bound);
  // A restarted agent goes on where the last one was killed.
  await ended(first);
  await serve(hostA, lease);
  expect(await ask('eth0', '-r', '10.7.0.99')).toBe(bound);
  sync(guest, 'ip', 'link', 'set', 'eth1', 'down');
  sync(guest, 'ip', 'link', 'set', 'eth1', 'address', 'fa:16:3e:00:00:02', 'up');
  expect(await ask('eth1', '-t', '1')).toBeNull();
}, 90_000);
