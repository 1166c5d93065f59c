import { as, type ImageId, type NetworkId, type PortId, type ProjectId, type ServerId } from '@godwit/domain/ids';
import { expect, test } from 'vitest';
import type { Pool } from '../../storage/pool.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { guestSpecOf } from './guest-spec-of.ts';

const pool = (name: string, kind: 'shared' | 'local'): Pool => ({
  name,
  kind,
  path: `/pools/${name}`,
  poolId: name,
  io: { directIo: true },
});
const pools = new Map([
  ['shared', pool('shared', 'shared')],
  ['local', pool('local', 'local')],
]);
const defaults = { accelerator: 'tcg', machineType: 'pc-q35-10.0', cpuModel: 'Nehalem-v1' } as const;
const wanted = (changes: Partial<WantedGuest> = {}): WantedGuest => ({
  serverId: as<ServerId>('33333333-3333-4333-8333-333333333333'),
  projectId: as<ProjectId>('p'),
  name: 'web',
  hostname: 'web',
  vcpus: 1,
  ramMib: 128,
  machineType: '',
  cpuModel: '',
  deviceLayout: 1,
  disks: [{ diskId: 'root', pool: 'shared', format: 'qcow2', sizeBytes: 1_048_576, image: null }],
  nics: [
    {
      portId: as<PortId>('44444444-4444-4444-8444-444444444444'),
      networkId: as<NetworkId>('n'),
      mac: '52:54:00:00:00:01',
      mtu: 0,
      bridge: '',
      fixedIps: [{ address: '10.0.0.5', prefixLength: 22, gateway: '10.0.0.1' }],
    },
  ],
  directBoot: { kernelImageId: as<ImageId>('55555555-5555-4555-8555-555555555555'), ramdiskImageId: null, commandLine: 'quiet' },
  ...changes,
});

test("what a guest leaves open is the host's; what it has pinned stays", () => {
  expect(guestSpecOf(wanted(), pools, defaults)).toMatchObject({ machineType: 'pc-q35-10.0', cpuModel: 'Nehalem-v1', accelerator: 'tcg' });
  expect(guestSpecOf(wanted({ machineType: 'pc-q35-9.2', cpuModel: 'qemu64-v1' }), pools, defaults)).toMatchObject({
    machineType: 'pc-q35-9.2',
    cpuModel: 'qemu64-v1',
  });
});

test('the kernel learns the first address, unless its command line has one', () => {
  expect(guestSpecOf(wanted(), pools, defaults).directBoot?.commandLine).toBe('quiet ip=10.0.0.5::10.0.0.1:255.255.252.0:web:eth0:off');
  const own = wanted({
    directBoot: { kernelImageId: as<ImageId>('55555555-5555-4555-8555-555555555555'), ramdiskImageId: null, commandLine: 'ip=dhcp' },
  });
  expect(guestSpecOf(own, pools, defaults).directBoot?.commandLine).toBe('ip=dhcp');
});

test('the console log is on a pool that the next host sees too, if there is one', () => {
  expect(guestSpecOf(wanted(), pools, defaults).consoleDir).toMatch(/^\/pools\/shared\/.*33333333-3333-4333-8333-333333333333/);
  const local = wanted({ disks: [{ diskId: 'root', pool: 'local', format: 'raw', sizeBytes: 512, image: null }] });
  expect(guestSpecOf(local, new Map([['local', pool('local', 'local')]]), defaults).consoleDir).toBeUndefined();
});

test('on a pool of Ceph a disk is a raw image whatever was asked for, and the console log, a file, is not there', () => {
  const ceph: Pool = { ...pool('ceph', 'shared'), ceph: { pool: 'vms', conf: '/etc/ceph/ceph.conf', user: 'godwit' } };
  const image = { imageId: as<ImageId>('66666666-6666-4666-8666-666666666666'), format: 'qcow2', sha512: '' } as const;
  const guest = wanted({ disks: [{ diskId: 'root', pool: 'ceph', format: 'qcow2', sizeBytes: 1_048_576, image }] });
  const spec = guestSpecOf(guest, new Map([['ceph', ceph]]), defaults);
  expect(spec.disks).toEqual([
    {
      id: 'root',
      format: 'raw',
      readOnly: false,
      storage: 'shared',
      sizeBytes: 1_048_576,
      directIo: true,
      rbd: { pool: 'vms', conf: '/etc/ceph/ceph.conf', user: 'godwit', image: 'godwit-33333333-3333-4333-8333-333333333333-root' },
    },
  ]);
  expect(spec.consoleDir).toBeUndefined();
  expect(guestSpecOf(guest, new Map([['ceph', ceph], ...pools]), defaults).consoleDir).toMatch(/^\/pools\/shared\//);
});

test('a pool that the host does not have is named', () => {
  expect(() =>
    guestSpecOf(wanted({ disks: [{ diskId: 'root', pool: 'gold', format: 'raw', sizeBytes: 512, image: null }] }), pools, defaults),
  ).toThrow('no storage pool "gold"');
});
