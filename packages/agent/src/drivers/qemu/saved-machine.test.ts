import type { GuestSpec } from '@godwit/domain/guest-spec';
import { as, type NetworkId, type PortId, type ServerId } from '@godwit/domain/ids';
import { expect, test } from 'vitest';
import { savedMachineOf, unlikeSaved } from './saved-machine.ts';

const nic = { portId: as<PortId>('p'), networkId: as<NetworkId>('n'), mac: '52:54:00:00:00:01', tapName: 'gt1' };
const spec: GuestSpec = {
  serverId: as<ServerId>('s'),
  name: 'web',
  vcpus: 1,
  ramMib: 96,
  machineType: 'pc-q35-10.0',
  cpuModel: 'Nehalem-v1',
  accelerator: 'tcg',
  deviceLayout: 2,
  disks: [{ id: 'root', path: '/a', format: 'qcow2', readOnly: false, storage: 'shared', sizeBytes: 1, directIo: true }],
  nics: [nic],
  graphics: 'none',
  balloon: false,
};
const unlike = (change: Partial<GuestSpec>): string | null =>
  unlikeSaved(JSON.parse(JSON.stringify(savedMachineOf(spec))), savedMachineOf({ ...spec, ...change }));

test('a memory is of one machine: what the guest sees of it must be the same, names and paths on the host need not', () => {
  expect(unlike({})).toBeNull();
  expect(unlike({ name: 'other', consoleDir: '/c', nics: [{ ...nic, slot: 0, mtu: 1500, tapName: 'gt2' }] })).toBeNull();
  expect(unlike({ ramMib: 128 })).toBe('it was saved of another machine (ram MiB: 96, now 128)');
  for (const change of [
    { vcpus: 2 },
    { maxVcpus: 4 },
    { maxRamMib: 224 },
    { cpuModel: 'max' },
    { nics: [] },
    { disks: [] },
    { deviceLayout: 1 },
    { configDrive: '/d' },
  ] as const)
    expect(unlike(change)).toContain('another machine');
});
