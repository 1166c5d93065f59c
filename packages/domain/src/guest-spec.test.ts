import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DiskSpec, type GuestSpec, guestLimits, guestSpecProblems, type NicSpec } from './guest-spec.ts';
import { as } from './ids.ts';

const disk: DiskSpec = {
  id: 'root',
  path: '/pool/disks/a/root.qcow2',
  format: 'qcow2',
  readOnly: false,
  storage: 'shared',
  sizeBytes: 1024,
  directIo: true,
};
const nic: NicSpec = { portId: as('p'), mac: 'fa:16:3e:00:00:01', tapName: 'gt01234567', networkId: as('n') };
const spec: GuestSpec = {
  serverId: as('0a1b2c3d-0000-4000-8000-000000000001'),
  name: 'any name, "quoted"',
  vcpus: 1,
  ramMib: 64,
  machineType: 'pc-q35-10.0',
  cpuModel: 'Nehalem-v1,+aes',
  accelerator: 'tcg',
  deviceLayout: 1,
  disks: [disk],
  nics: [nic],
  graphics: 'none',
  balloon: false,
};
const problems = (change: Partial<GuestSpec>): string => guestSpecProblems({ ...spec, ...change }).join('; ');
const diskProblems = (change: Partial<DiskSpec>): string => problems({ disks: [{ ...disk, ...change } as DiskSpec] });
const nicProblems = (change: Partial<NicSpec>): string => problems({ nics: [{ ...nic, ...change }] });

describe('a disk that is an RBD image', () => {
  const rbd = { pool: 'vms', image: 'godwit-a', conf: '/etc/ceph/ceph.conf', user: 'godwit' };
  const image = { path: undefined, rbd, format: 'raw' } as const;
  test('is raw, shared and plainly named', () => {
    expect(diskProblems(image)).toBe('');
    expect(diskProblems({ ...image, format: 'qcow2' })).toMatch(/raw and shared/);
    expect(diskProblems({ ...image, storage: 'local' })).toMatch(/raw and shared/);
    expect(diskProblems({ ...image, rbd: { ...rbd, conf: 'ceph.conf' } })).toMatch(/not absolute/);
    expect(diskProblems({ ...image, rbd: { ...rbd, image: 'a@snapshot' } })).toMatch(/no plain name/);
    expect(diskProblems({ ...image, rbd: { ...rbd, namespace: '' } })).toMatch(/no plain name/);
  });
  test('is no other disk of the guest', () => {
    const one = (id: string, name: string) => ({ ...disk, ...image, id, rbd: { ...rbd, image: name } });
    expect(problems({ disks: [one('a', 'x'), one('b', 'x')] })).toMatch(/same path/);
    expect(problems({ disks: [one('a', 'x'), one('b', 'y')] })).toBe('');
  });
});

describe('a guest spec', () => {
  test('of an ordinary guest has no problems', () => {
    expect(guestSpecProblems(spec)).toEqual([]);
    expect(problems({ directBoot: { kernelPath: '/k', initrdPath: '/i', commandLine: 'console=ttyS0 quiet' }, disks: [] })).toBe('');
  });

  test.each([
    ['an alias of a machine type', { machineType: 'q35' }, /not a versioned/],
    ['a machine type with options', { machineType: 'pc-q35-10.0,usb=on' }, /not a versioned/],
    ['a CPU model that starts another option', { cpuModel: 'max -device foo' }, /not a model/],
    ['no vcpus', { vcpus: 0 }, /vcpus 0/],
    ['fewer places for vcpus than vcpus', { vcpus: 2, maxVcpus: 1 }, /at most 1 vcpus/],
    ['more memory than it can have', { ramMib: 96, maxRamMib: 128, addedRamMib: 64 }, /96 to 128 MiB of memory, not 160/],
    ['half a MiB', { ramMib: 0.5 }, /0\.5 MiB/],
    ['no UUID', { serverId: as('../../etc') }, /not a UUID/],
    [
      'too many disks',
      { disks: Array.from({ length: guestLimits.disks + 1 }, (_, i) => ({ ...disk, id: `d${i}`, path: `/p/${i}` })) },
      /more than 17/,
    ],
    ['one file twice', { disks: [disk, { ...disk, id: 'b' }] }, /same path/],
    ['one MAC twice', { nics: [nic, { ...nic, tapName: 'gt1' }] }, /same MAC/],
    ['a kernel command line of two lines', { directBoot: { kernelPath: '/k', commandLine: 'a\nb' } }, /control characters/],
    ['a kernel that is not absolute', { directBoot: { kernelPath: 'k', commandLine: '' } }, /kernel path/],
  ] as const)('%s is named', (_what, change, sentence) => {
    expect(problems(change as Partial<GuestSpec>)).toMatch(sentence);
  });

  test('wrong disks and ports are named', () => {
    expect(diskProblems({ path: '/pool/../etc/passwd' })).toMatch(/not absolute and plain/);
    expect(diskProblems({ format: 'raw', backing: { path: '/b', format: 'raw' } })).toMatch(/cannot have a backing/);
    expect(diskProblems({ backing: { path: 'nbd://evil', format: 'raw' } })).toMatch(/backing path/);
    expect(diskProblems({ sizeBytes: 1000 })).toMatch(/multiple of 512/);
    expect(nicProblems({ mac: 'FA:16:3E:00:00:01' })).toMatch(/lower-case unicast/);
    expect(nicProblems({ mac: 'ff:ff:ff:ff:ff:ff' })).toMatch(/unicast/);
    expect(nicProblems({ tapName: 'a name' })).toMatch(/interface name/);
    expect(nicProblems({ mtu: 10 })).toMatch(/MTU 10/);
  });

  test('survives JSON unchanged', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 255 }), (name, vcpus) => {
        const one = { ...spec, name, vcpus };
        expect(JSON.parse(JSON.stringify(one))).toEqual(one);
        expect(guestSpecProblems(one)).toEqual([]);
      }),
    );
  });
});
