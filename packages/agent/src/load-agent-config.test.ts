import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadAgentConfig } from './load-agent-config.ts';

const good = {
  hostName: 'node1',
  stateDir: '/var/lib/godwit',
  driver: 'qemu',
  managementAddress: '10.0.0.1',
  controllerUrl: 'https://10.0.0.9:8780',
  joinTokenFile: '/t',
  bridge: { name: 'br0' },
  pools: [],
};
let directory: string;
const write = (value: unknown): string => {
  const file = join(directory, 'agent.json');
  writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
  return file;
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gw-config-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('defaults are filled in and the environment wins', () => {
  const config = loadAgentConfig(write(good), { GODWIT_RPC_PORT: '9000', GODWIT_ZONE: 'az2', GODWIT_CLOCK_SKEW_MS: '-500' });
  expect(config).toMatchObject({
    rpcPort: 9000,
    zone: 'az2',
    clockSkewMs: -500,
    migrationPorts: [49152, 49215],
    bootIdFile: '/proc/sys/kernel/random/boot_id',
  });
});

test('an RBD pool is taken as it is written', () => {
  const pools = [{ name: 'ceph', kind: 'rbd', path: '/var/lib/godwit/ceph', ceph: { pool: 'vms', namespace: 'a', user: 'godwit' } }];
  expect(loadAgentConfig(write({ ...good, pools }), {}).pools).toEqual(pools);
});

test('every wrong key is named in one refusal', () => {
  const file = write({ ...good, stateDir: 'relative', managementAddress: '0.0.0.0', controllerUrl: 'http://x', migrationPorts: [9, 1] });
  expect(() => loadAgentConfig(file, {})).toThrow(/stateDir.*managementAddress.*controllerUrl.*migrationPorts/);
});

test.each([
  ['no JSON', '{'],
  ['a state directory too deep for sockets', { ...good, stateDir: `/${'d'.repeat(60)}` }],
  ['an uplink besides an Open vSwitch bridge', { ...good, bridge: { name: 'br0', uplink: 'eth1', openvswitch: 'br-ex' } }],
  ['the guest bridge as its own way out', { ...good, bridge: { name: 'br0', openvswitch: 'br0' } }],
  ['a setting of the bridge that there is not', { ...good, bridge: { name: 'br0', vlan: true } }],
  ['one that differs by a capital', { ...good, bridge: { name: 'br0', openvSwitch: 'br-ex' } }],
  ['an uplink that is no name', { ...good, bridge: { name: 'br0', uplink: 7 } }],
  ['a bridge that would be an option', { ...good, bridge: { name: '-br0' } }],
  ['an Open vSwitch bridge that would be one', { ...good, bridge: { name: 'br0', openvswitch: '--all' } }],
  ['a name that Linux does not take', { ...good, bridge: { name: 'guests-of-this-host' } }],
  ['VLANs that are neither there nor not', { ...good, bridge: { name: 'br0', vlans: 'yes' } }],
  ['a pool of no kind that there is', { ...good, pools: [{ name: 'c', kind: 'rdb', path: '/c', ceph: { pool: 'vms' } }] }],
  ['an RBD pool that names none of Ceph’s', { ...good, pools: [{ name: 'ceph', kind: 'rbd', path: '/var/lib/godwit/ceph' }] }],
  [
    'an RBD pool with a name that QEMU would read otherwise',
    { ...good, pools: [{ name: 'c', kind: 'rbd', path: '/c', ceph: { pool: 'a,b' } }] },
  ],
  [
    'an RBD pool with a relative configuration',
    { ...good, pools: [{ name: 'c', kind: 'rbd', path: '/c', ceph: { pool: 'a', conf: 'x' } }] },
  ],
  [
    'an RBD pool that is declared coherent',
    { ...good, pools: [{ name: 'c', kind: 'rbd', path: '/c', ceph: { pool: 'a' }, declaredCoherent: true }] },
  ],
  ['a directory with a pool of Ceph’s', { ...good, pools: [{ name: 'c', kind: 'shared', path: '/c', ceph: { pool: 'a' } }] }],
  ['simulated without hosts', { ...good, driver: 'simulated' }],
])('refused: %s', (_name, value) => {
  expect(() => loadAgentConfig(write(value), {})).toThrow('the configuration');
});

test('the line of what is wrong is named, and a setting that there is not', () => {
  const nested = write(`${JSON.stringify(good, null, 1)}`.replace('"name": "br0"', '"name": "br0",\n"vlan": true'));
  expect(() => loadAgentConfig(nested, {})).toThrow(/bridge\.vlan is not a setting of the agent \(name, uplink, openvswitch, vlans\)/);
  const file = write('# a host\nhostName: node1\nstateDir: /var/lib/godwit\ndriver: qemu\nrpcPort: 70000\nmagic: 1\n');
  expect(() => loadAgentConfig(file, {})).toThrow(/magic is not a setting of the agent \(line 6\).*rpcPort 70000 is not a port \(line 5\)/);
});

test('the example that is installed is a configuration', () => {
  const example = fileURLToPath(new URL('../../../packaging/agent.yaml', import.meta.url));
  expect(loadAgentConfig(example, {})).toMatchObject({ driver: 'qemu', rpcPort: 8781, migrationPorts: [49_152, 49_215] });
});
