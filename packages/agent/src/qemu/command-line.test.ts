import type { GuestSpec } from '@godwit/domain/guest-spec';
import { as } from '@godwit/domain/ids';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commandLine, type Launch } from './command-line.ts';

const spec: GuestSpec = {
  serverId: as('0a1b2c3d-0000-4000-8000-000000000001'),
  name: 'web,1 -S',
  vcpus: 2,
  ramMib: 256,
  machineType: 'pc-q35-10.0',
  cpuModel: 'Nehalem-v1',
  accelerator: 'tcg',
  deviceLayout: 1,
  disks: [
    {
      id: '11111111-2222-3333-4444-555555555555',
      path: '/pool/a,b/root.qcow2',
      format: 'qcow2',
      backing: { path: '/pool/images/base.qcow2', format: 'qcow2', backing: { path: '/pool/images/low.raw', format: 'raw' } },
      readOnly: false,
      storage: 'shared',
      sizeBytes: 1024,
      directIo: true,
    },
    { id: 'data', path: '/pool/data.raw', format: 'raw', readOnly: false, storage: 'local', sizeBytes: 1024, directIo: false },
  ],
  nics: [{ portId: as('p'), mac: 'fa:16:3e:00:00:01', tapName: 'gt01234567', networkId: as('n'), mtu: 1450 }],
  graphics: 'none',
  balloon: false,
};
const launch: Launch = {
  qmpSocket: '/s/qmp.sock',
  oobSocket: '/s/oob.sock',
  consoleSocket: '/s/con.sock',
  consoleLog: '/s/console/1,2.log',
  vncSocket: '/s/vnc.sock',
  agentSocket: '/s/qga,1.sock',
  incoming: false,
  imageLocking: true,
  sandbox: true,
  vhostNet: false,
  tls: [],
};
/** Values of an option, parsed where they are JSON. */
const values = (argv: readonly string[], option: string): unknown[] =>
  argv.flatMap((word, i) => (argv[i - 1] === option ? [word.startsWith('{') ? JSON.parse(word) : word] : []));
const node = (argv: readonly string[], name: string): unknown =>
  values(argv, '-blockdev').find((one) => (one as { 'node-name': string })['node-name'] === name);

describe('the command line', () => {
  const argv = commandLine(spec, launch);

  test('a channel for the guest agent is a second function beside the source of randomness; without one nothing of the machine is another', () => {
    const other = commandLine({ ...spec, guestAgent: true }, launch);
    const added = other.filter((word) => !argv.includes(word));
    expect(added.map((word) => (word.startsWith('{') ? JSON.parse(word) : word) as unknown)).toEqual([
      { driver: 'virtio-rng-pci', id: 'rng0', rng: 'entropy', bus: 'pcie.0', addr: '0x2', multifunction: true },
      'socket,id=agent,path=/s/qga,,1.sock,server=on,wait=off',
      { driver: 'virtio-serial-pci', id: 'channels', max_ports: 2, bus: 'pcie.0', addr: '0x2.0x1' },
      { driver: 'virtserialport', id: 'agent0', bus: 'channels.0', nr: 1, chardev: 'agent', name: 'org.qemu.guest_agent.0' },
    ]);
    expect(argv.join(' ')).not.toMatch(/virtio-serial|multifunction|qga/);
  });

  test('a disk that is an RBD image is opened by QEMU’s own driver, without its cache', () => {
    const rbd = { pool: 'vms', namespace: 'n', image: 'godwit-a', conf: '/etc/ceph/a,b.conf', user: 'godwit' };
    const [, data] = spec.disks;
    if (!data) throw new Error('no disk');
    const disks = [{ ...data, path: undefined, rbd, storage: 'shared', directIo: true } as const];
    const other = commandLine({ ...spec, disks }, launch);
    expect(node(other, 'disk0-file')).toEqual({
      driver: 'rbd',
      'node-name': 'disk0-file',
      ...rbd,
      'read-only': false,
      discard: 'unmap',
      cache: { direct: true, 'no-flush': false },
    });
    expect(node(other, 'disk0')).toMatchObject({ driver: 'raw', file: 'disk0-file' });
  });

  test("a port is found in its place: on the machine's own bus, or on the bridge that every machine of layout 2 has for them", () => {
    const nics = [0, 6].map((slot) => ({
      portId: as<never>(`p${slot}`),
      mac: `fa:16:3e:00:00:0${slot}`,
      tapName: `gt${slot}`,
      networkId: as<never>('n'),
      slot,
    }));
    const places = (change: Partial<GuestSpec>): unknown =>
      values(commandLine({ ...spec, nics, ...change }, launch), '-device').flatMap((one) => {
        const { driver, id, bus, addr } = one as Record<string, string>;
        return driver === 'virtio-net-pci' || driver === 'pcie-pci-bridge' ? [`${id} ${bus} ${addr}`] : [];
      });
    expect(places({})).toEqual(['nic0 pcie.0 0x4', 'nic6 pcie.0 0xa']);
    expect(places({ deviceLayout: 2 })).toEqual(['ports pcie.0 0x1', 'nic0 ports 0x1', 'nic6 ports 0x7']);
    expect(places({ deviceLayout: 2, machineType: 'pc-i440fx-9.2' })).toEqual(['nic0 pci.0 0x4', 'nic6 pci.0 0xa']);
    // What ran before ports had places stands where it stood.
    expect(places({ nics: nics.map(({ slot: _slot, ...nic }) => nic) })).toEqual(['nic0 pcie.0 0x4', 'nic1 pcie.0 0x5']);
  });

  test('starts stopped, whatever the guest is, also when it waits for a stream', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom('tcg' as const, 'kvm' as const),
        fc.boolean(),
        (incoming, vnc, accelerator, boot) => {
          const one = commandLine(
            {
              ...spec,
              accelerator,
              graphics: vnc ? 'vnc' : 'none',
              ...(boot && { directBoot: { kernelPath: '/k', commandLine: '-incoming x' } }),
            },
            { ...launch, incoming },
          );
          expect(one.filter((word) => word === '-S')).toHaveLength(1);
          expect(values(one, '-incoming')).toEqual(incoming ? ['defer'] : []);
          expect(one).toEqual(expect.arrayContaining(['-nodefaults', '-no-user-config']));
          expect(one).not.toContain('-daemonize');
        },
      ),
    );
  });

  test('is the same for source and destination but for what belongs to the process', () => {
    const there = commandLine(spec, { ...launch, qmpSocket: '/d/qmp.sock', incoming: true });
    expect(there.filter((word) => !argv.includes(word))).toEqual([
      'socket,id=qmp,path=/d/qmp.sock,server=on,wait=on',
      '-incoming',
      'defer',
    ]);
  });

  test('never opens a file that an image names', () => {
    expect(node(argv, 'disk0')).toMatchObject({
      driver: 'qcow2',
      file: 'disk0-file',
      backing: 'disk0-back1',
      discard: 'unmap',
      'detect-zeroes': 'unmap',
    });
    expect(node(argv, 'disk0-back1')).toMatchObject({ driver: 'qcow2', 'read-only': true, backing: 'disk0-back2' });
    expect(node(argv, 'disk0-back2')).toMatchObject({ driver: 'raw', 'read-only': true });
    const [disk] = spec.disks;
    const { backing: _backing, ...alone } = disk ?? expect.unreachable();
    expect(node(commandLine({ ...spec, disks: [alone] }, launch), 'disk0')).toMatchObject({ backing: null });
    for (const one of values(argv, '-blockdev')) {
      const { driver, backing } = one as { driver: string; backing?: unknown };
      if (driver === 'qcow2') expect(backing).toBeDefined();
    }
    expect(argv.join(' ')).not.toMatch(/-drive|-hda/);
  });

  test('locks writable images unless a test says otherwise, and goes past the page cache where the disk says so', () => {
    expect(node(argv, 'disk0-file')).toMatchObject({ locking: 'on', cache: { direct: true, 'no-flush': false } });
    expect(node(argv, 'disk1-file')).toMatchObject({ locking: 'on', cache: { direct: false } });
    expect(node(commandLine(spec, { ...launch, imageLocking: false }), 'disk0-file')).toMatchObject({ locking: 'off' });
  });

  test('puts every device into its slot, and no two into one', () => {
    const devices = values(commandLine({ ...spec, balloon: true, graphics: 'vnc' }, launch), '-device') as {
      id: string;
      bus?: string;
      addr?: string;
    }[];
    const slots = Object.fromEntries(devices.flatMap((one) => (one.addr === undefined ? [] : [[one.id, `${one.bus}/${one.addr}`]])));
    // Device layout 1: a guest that runs today must find these on every later agent.
    expect(slots).toEqual({
      rng0: 'pcie.0/0x2',
      balloon0: 'pcie.0/0x3',
      video0: 'pcie.0/0x1e',
      nic0: 'pcie.0/0x4',
      vd0: 'pcie.0/0xc',
      vd1: 'pcie.0/0xd',
    });
    const older = values(commandLine({ ...spec, machineType: 'pc-i440fx-9.2' }, launch), '-device') as { id: string; bus?: string }[];
    expect(older.find((one) => one.id === 'vd0')?.bus).toBe('pci.0');
  });

  test('commas in paths stay in the path', () => {
    expect(values(argv, '-chardev')).toContain(
      'socket,id=console,path=/s/con.sock,server=on,wait=off,logfile=/s/console/1,,2.log,logappend=on',
    );
    expect(node(argv, 'disk0-file')).toMatchObject({ filename: '/pool/a,b/root.qcow2' });
  });

  test('the server’s name does not reach QEMU', () => {
    expect(argv.join(' ')).not.toContain('web');
  });

  test('the first disk boots, unless a kernel does', () => {
    const bootindex = (one: readonly string[]): unknown[] =>
      (values(one, '-device') as { id: string; bootindex?: number }[]).flatMap((device) =>
        device.bootindex === undefined ? [] : [device.id],
      );
    expect(bootindex(argv)).toEqual(['vd0']);
    const kernel = commandLine({ ...spec, directBoot: { kernelPath: '/k', initrdPath: '/i', commandLine: 'console=ttyS0' } }, launch);
    expect(bootindex(kernel)).toEqual([]);
    expect([values(kernel, '-kernel'), values(kernel, '-initrd'), values(kernel, '-append')]).toEqual([['/k'], ['/i'], ['console=ttyS0']]);
  });

  test('TLS credentials verify their peer', () => {
    const one = commandLine(spec, { ...launch, tls: [{ id: 'tls0', dir: '/t', endpoint: 'server' }] });
    expect(values(one, '-object')).toContainEqual({
      'qom-type': 'tls-creds-x509',
      id: 'tls0',
      dir: '/t',
      endpoint: 'server',
      'verify-peer': true,
    });
  });

  test('a machine that can be given vCPUs has places for all of them, and under TCG one thread: a plugged one finds no buffer where each has its own', () => {
    const one = commandLine({ ...spec, maxVcpus: 4 }, launch);
    expect(values(one, '-smp')).toEqual(['2,maxcpus=4,sockets=1,cores=4,threads=1']);
    expect(values(one, '-accel')).toEqual(['tcg,thread=single,tb-size=16']);
    // As many queues here as where more of them are there from the start.
    const queues = (args: readonly string[]) => values(args, '-device').map((one) => (one as Record<string, unknown>)['num-queues']);
    expect(queues(one).filter((number) => number === 4)).toHaveLength(spec.disks.length);
    const fixed = commandLine(spec, launch);
    expect(queues(fixed).every((number) => number === undefined)).toBe(true);
    expect(values(fixed, '-smp')).toEqual(['2,sockets=1,cores=2,threads=1']);
    expect(values(fixed, '-accel')).toEqual(['tcg,thread=multi,tb-size=16']);
  });

  test('a machine that can be given memory has a place for it beside the source of randomness; under TCG the place comes first, and its own memory is no multiple of 256 KiB', () => {
    const growing = { ...spec, maxRamMib: 300, addedRamMib: 32 };
    const [tcg, kvm] = [commandLine(growing, launch), commandLine({ ...growing, accelerator: 'kvm' }, launch)];
    const backend = (id: string, size: number) => ({ 'qom-type': 'memory-backend-memfd', id, size, share: true });
    const place = { ...backend('ram1', 128 * 1_048_576), reserve: false };
    const memories = (argv: readonly string[]) => values(argv, '-object').filter((one) => (one as { size?: number }).size !== undefined);
    expect([values(tcg, '-m'), memories(tcg)]).toEqual([
      ['size=262136K,maxmem=393208K'],
      [place, backend('ram0', 256 * 1_048_576 - 8_192)],
    ]);
    expect([values(kvm, '-m'), memories(kvm)]).toEqual([['size=262144K,maxmem=393216K'], [place, backend('ram0', 256 * 1_048_576)]]);
    const added = tcg.filter((word) => word.startsWith('{') && !argv.includes(word)).map((word) => JSON.parse(word) as { driver?: string });
    expect(added.filter(({ driver }) => driver !== undefined)).toEqual([
      { driver: 'virtio-rng-pci', id: 'rng0', rng: 'entropy', bus: 'pcie.0', addr: '0x2', multifunction: true },
      {
        driver: 'virtio-mem-pci',
        id: 'memory0',
        memdev: 'ram1',
        'block-size': 2_097_152,
        'requested-size': 33_554_432,
        'dynamic-memslots': true,
        'unplugged-inaccessible': 'on',
        bus: 'pcie.0',
        addr: '0x2.0x2',
      },
    ]);
    expect([values(argv, '-m'), memories(argv)]).toEqual([['256M'], [backend('ram0', 256 * 1_048_576)]]);
  });

  test('a spec with problems is refused with all of them', () => {
    expect(() => commandLine({ ...spec, vcpus: 0, machineType: 'q35' }, launch)).toThrow(/vcpus 0.*machine type "q35"/);
  });
});
