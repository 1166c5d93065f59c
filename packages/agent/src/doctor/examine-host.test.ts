import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostIdentity, storeHostIdentity } from '../identity/host-identity.ts';
import { createTestCa } from '../identity/test-ca.ts';
import { examineHost } from './examine-host.ts';
import type { HostTools } from './host-tools.ts';

const hostId = '6f1f2f0e-7d4f-4f0c-9d53-0c2f6a3b1c11';
let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'godwit-doctor-'));
  file = join(directory, 'agent.json');
  await mkdir(join(directory, 'pool'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const config = (changes: Readonly<Record<string, unknown>> = {}) =>
  writeFile(
    file,
    JSON.stringify({
      hostName: 'node1',
      stateDir: directory,
      managementAddress: '10.0.0.11',
      controllerUrl: 'https://controller.example:8780',
      joinTokenFile: join(directory, 'token'),
      bridge: { name: 'godwit0', uplink: 'eth1' },
      pools: [{ name: 'local', kind: 'local', path: join(directory, 'pool') }],
      migrationPorts: [49_152, 49_153],
      ...changes,
    }),
  );
const links = [
  { ifname: 'godwit0', linkinfo: { info_kind: 'bridge' } },
  { ifname: 'eth1', operstate: 'UP', master: 'godwit0' },
];
/** A machine on which all is well but QEMU, which these tests do without. */
const machine = (changes: Partial<HostTools> = {}, interfaces: readonly object[] = links): HostTools => ({
  run: async (program) => {
    if (program === 'qemu-system-x86_64') return 'QEMU emulator version 7.2.9 (Debian)';
    return program === 'timedatectl' ? 'yes\n' : program === 'ip' ? JSON.stringify(interfaces) : '';
  },
  canListen: async () => null,
  canConnect: async () => null,
  ...changes,
});
const bad = async (tools = machine()) =>
  (await examineHost(file, tools))
    .filter(({ level, check }) => level !== 'ok' && check !== 'qemu' && check !== 'tun')
    .map(({ level, check, sentence }) => `${level} ${check}: ${sentence}`);

describe('the examination of a host', () => {
  it('finds nothing where all is well, and says that Debian 12’s own QEMU is too old', async () => {
    await config();
    const ca = await createTestCa();
    await storeHostIdentity(directory, hostIdentity(await ca.host(hostId, ['10.0.0.11'])));
    const findings = await examineHost(file, machine());
    expect(findings.find(({ check }) => check === 'qemu')).toMatchObject({
      level: 'problem',
      sentence: 'QEMU is version 7.2.9.',
      remedy: expect.stringContaining('backports'),
    });
    // The certificates of tests live for a short time only.
    expect((await bad()).filter((line) => !line.includes('certificate'))).toEqual([]);
  });

  it('names every wrong setting', async () => {
    await config({ managementAddress: '0.0.0.0', rpcPort: 70_000 });
    expect(await examineHost(file, machine())).toMatchObject([
      { level: 'problem', check: 'configuration', sentence: expect.stringMatching(/managementAddress.*rpcPort/s) },
    ]);
  });

  it.each([
    ['no token and no certificate', {}, {}, links, ['problem certificate: The host has not joined, and TOKEN is not there.']],
    [
      'an address of another host',
      { canListen: async () => 'EADDRNOTAVAIL' },
      {},
      links,
      ['problem ports: 10.0.0.11 is no address of this host.', 'problem certificate'],
    ],
    [
      'all migration ports taken',
      { canListen: async (_: string, port: number) => (port > 49_000 ? 'EADDRINUSE' : null) },
      {},
      links,
      ['problem ports: All migration ports', 'problem certificate'],
    ],
    [
      'no controller',
      { canConnect: async () => 'ECONNREFUSED' },
      {},
      links,
      ['problem controller: Nobody answers at https://controller.example:8780: ECONNREFUSED.', 'problem certificate'],
    ],
    [
      'an uplink of another bridge',
      {},
      {},
      [{ ifname: 'eth1', master: 'br0' }],
      ['problem bridge: The uplink eth1 belongs to br0.', 'problem certificate'],
    ],
    [
      'an Open vSwitch bridge in place of an uplink',
      {},
      { bridge: { name: 'godwit0', openvswitch: 'br-ex' } },
      links,
      ['problem certificate'],
    ],
    [
      'an Open vSwitch bridge that is not there',
      {
        run: async (program: string, args: readonly string[]) => {
          if (program === 'ovs-vsctl') throw new Error('Command failed');
          return await machine().run(program, args);
        },
      },
      { bridge: { name: 'godwit0', openvswitch: 'br-none' } },
      links,
      ['problem bridge: The Open vSwitch bridge br-none cannot be used.', 'problem certificate'],
    ],
    [
      'a bridge that is none',
      {},
      {},
      [{ ifname: 'godwit0', linkinfo: { info_kind: 'vlan' } }, links[1]],
      ['problem bridge: godwit0 is there, and is no bridge.', 'problem certificate'],
    ],
    [
      'a pool that is not there',
      {},
      { pools: [{ name: 'local', kind: 'local', path: '/nonexistent' }] },
      links,
      ['problem pools: pool local at /nonexistent cannot be used', 'problem certificate'],
    ],
    [
      'a cluster that cannot be come to',
      {},
      { pools: [{ name: 'ceph', kind: 'rbd', path: 'POOL', ceph: { pool: 'vms', conf: '/nonexistent' } }] },
      links,
      ['problem pools: pool ceph at', 'problem certificate'],
    ],
    [
      'a shared pool that is no mount',
      {},
      { pools: [{ name: 'shared', kind: 'shared', path: 'POOL' }] },
      links,
      ['warning mount: The shared pool shared is no mount of its own', 'problem certificate'],
    ],
  ] as const)('%s', async (_what, tools, settings, interfaces, expected) => {
    await config(JSON.parse(JSON.stringify(settings).replaceAll('POOL', join(directory, 'pool'))));
    const lines = (await bad(machine(tools as Partial<HostTools>, interfaces as readonly object[]))).toSorted();
    const wanted = expected.map((one) => one.replace('TOKEN', join(directory, 'token'))).toSorted();
    expect(lines.map((line, index) => line.slice(0, wanted[index]?.length ?? 0))).toEqual(wanted);
  });
});
