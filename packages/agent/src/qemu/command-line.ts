import { GodwitError } from '@godwit/domain/errors';
import { memoryPlaceMib, memoryStepMib } from '@godwit/domain/guest-memory';
import { type BackingSpec, type DiskSpec, type GuestSpec, guestSpecProblems, type NicSpec, slotOf } from '@godwit/domain/guest-spec';
import { rbdNode } from '../storage/ceph-pool.ts';
import { servedMonitor } from './monitor-socket.ts';

/** What belongs to one QEMU process rather than to the guest. All paths absolute. */
export type Launch = {
  readonly qmpSocket: string;
  readonly oobSocket: string;
  /** Serial console of the guest: a unix socket for one reader, and a log that takes every byte whether or not someone reads. */
  readonly consoleSocket: string;
  readonly consoleLog: string;
  /** VNC over a unix socket; used only by guests with graphics. */
  readonly vncSocket: string;
  /** Our end of the guest agent's channel; used only by guests that have one. */
  readonly agentSocket: string;
  /** Waits for a migration stream (`-incoming defer`) instead of the guest's first instruction. Both wait: `-S` is always given. */
  readonly incoming: boolean;
  /** QEMU's image locks. On, except in tests that prove custody without them. */
  readonly imageLocking: boolean;
  /** Seccomp filter; off only where this QEMU was built without it. */
  readonly sandbox: boolean;
  /** In-kernel virtio-net. Frames then bypass QEMU's own tap reader. */
  readonly vhostNet: boolean;
  /** Certificates for migration streams, loaded when QEMU starts. Later ones: QMP `object-add`. */
  readonly tls: readonly TlsCredentials[];
};

export type TlsCredentials = {
  readonly id: string;
  /** Holds ca-cert.pem and {server,client}-{cert,key}.pem. */
  readonly dir: string;
  readonly endpoint: 'server' | 'client';
};

/** Node of a disk's format layer: what the guest's device, a mirror and an NBD export name. */
export const diskNode = (index: number): string => `disk${index}`;
/** Node of a disk's protocol layer: the file itself. */
export const diskFileNode = (index: number): string => `disk${index}-file`;
/** QOM id of the device that shows a disk to the guest. */
export const diskDevice = (index: number): string => `vd${index}`;
/** QOM id of the port in a place of the guest, and of its backend. */
export const nicDevice = (slot: number): string => `nic${slot}`;
export const netdevId = (slot: number): string => `tap${slot}`;
/** Id of the guest's RAM object, hence of its RAMBlock in the stream. */
export const ramObject = 'ram0';
/** The same of memory that a guest is given while it runs, and the device that gives it. */
const addedRamObject = 'ram1';
export const memoryDevice = 'memory0';
export const mib = 1_048_576;

export const configDriveNode = 'config-drive';
/** By which a guest finds the channel: QEMU's name for it, and that of every guest agent. */
export const agentPort = 'org.qemu.guest_agent.0';

/**
 * PCI slots on pcie.0 (q35) or pci.0 (i440fx, whose own devices are in slots 0 and 1). Layout 2 differs on q35 alone: the guest's ports sit on the bus of a bridge, which, unlike pcie.0, takes a
 * device while the machine runs. *Rejected:* a PCI Express root port for each. Every bridge maps its windows anew when its state is loaded, inside the blackout: eight cost ten times what one does.
 */
const slots = { portBridge: 0x01, rng: 0x02, balloon: 0x03, firstNic: 0x04, firstDisk: 0x0c, configDrive: 0x1d, graphics: 0x1e } as const;

const isQ35 = (spec: Pick<GuestSpec, 'machineType'>): boolean => spec.machineType.startsWith('pc-q35');
const pciAddress = (bus: string, slot: number): { readonly bus: string; readonly addr: string } => ({
  bus,
  addr: `0x${slot.toString(16)}`,
});
const portBridge = 'ports';
/** The bridge's controller of hot-plug has the first. */
const firstOfBridge = 0x01;

/** Where the port in a place of the guest is found, on every host. */
const nicAddress = (spec: Pick<GuestSpec, 'machineType' | 'deviceLayout'>, slot: number): object =>
  isQ35(spec) && spec.deviceLayout >= 2
    ? pciAddress(portBridge, firstOfBridge + slot)
    : pciAddress(isQ35(spec) ? 'pcie.0' : 'pci.0', slots.firstNic + slot);

/**
 * The arguments of qemu-system-x86_64 for a guest: a pure function, the same for source and destination except for `launch`.
 * The process starts with its vCPUs stopped (`-S`), opens nothing but what is named here, and never exits because the guest powers off
 * or panics: it stays, stopped, in a run state that tells a restarted agent what happened.
 * Throws GodwitError BadRequest naming every problem when the spec cannot be run.
 */
export function commandLine(spec: GuestSpec, launch: Launch): string[] {
  const problems = guestSpecProblems(spec);
  if (problems.length > 0)
    throw new GodwitError('BadRequest', `this guest cannot be started: ${problems.join('; ')}`, { serverId: spec.serverId });
  const pci = (slot: number): object => pciAddress(isQ35(spec) ? 'pcie.0' : 'pci.0', slot);
  const block = (slot: number): object => ({ ...pci(slot), ...blockQueues(spec) });
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-S'],
    ...['-name', `guest=${spec.serverId},debug-threads=on`, '-uuid', spec.serverId, '-msg', 'timestamp=on'],
    ...['-machine', `${spec.machineType},memory-backend=${ramObject},dump-guest-core=off,hpet=off,vmport=off,usb=off`],
    // TCG's translation buffer defaults to a share of the host's memory; 16 MiB costs little speed and keeps guests small.
    ...['-accel', spec.accelerator === 'tcg' ? `tcg,thread=${tcgThread(spec)},tb-size=16` : 'kvm'],
    // enforce: QEMU refuses to start, rather than dropping a CPU feature that the guest may have seen on another host.
    ...['-cpu', `${spec.cpuModel},enforce`, '-smp', smp(spec)],
    ...memoryArguments(spec),
    ...['-rtc', 'base=utc', '-boot', 'strict=on', '-action', 'shutdown=pause,panic=pause,reboot=reset'],
    ...(launch.sandbox ? ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'] : []),
    ...launch.tls.flatMap((tls) => [
      '-object',
      json({ 'qom-type': 'tls-creds-x509', id: tls.id, dir: tls.dir, endpoint: tls.endpoint, 'verify-peer': true }),
    ]),
    ...monitor('qmp', launch.qmpSocket),
    ...monitor('oob', launch.oobSocket),
    ...[
      '-chardev',
      `socket,id=console,path=${escaped(launch.consoleSocket)},server=on,wait=off,logfile=${escaped(launch.consoleLog)},logappend=on`,
    ],
    ...device({ driver: 'isa-serial', id: 'serial0', chardev: 'console' }),
    ...device({ driver: 'pvpanic', id: 'panic0' }),
    ...['-object', json({ 'qom-type': 'rng-random', id: 'entropy', filename: '/dev/urandom' })],
    ...device({ driver: 'virtio-rng-pci', id: 'rng0', rng: 'entropy', ...pci(slots.rng), ...(shares(spec) && { multifunction: true }) }),
    ...(spec.guestAgent ? agentArguments(launch, pci(slots.rng)) : []),
    ...(spec.maxRamMib === undefined
      ? []
      : device({ ...memoryFrontend(spec), ...pci(slots.rng), addr: `0x${slots.rng.toString(16)}.0x2` })),
    ...(spec.balloon ? device({ driver: 'virtio-balloon-pci', id: 'balloon0', 'free-page-reporting': true, ...pci(slots.balloon) }) : []),
    ...(spec.graphics === 'vnc'
      ? [...device({ driver: 'VGA', id: 'video0', ...pci(slots.graphics) }), '-vnc', `unix:${escaped(launch.vncSocket)}`]
      : []),
    ...(isQ35(spec) && spec.deviceLayout >= 2 ? device({ driver: 'pcie-pci-bridge', id: portBridge, ...pci(slots.portBridge) }) : []),
    ...spec.nics.flatMap((nic, position) => [
      ...['-netdev', json(nicBackend(nic, slotOf(nic, position), launch.vhostNet))],
      ...device(nicFrontend(spec, nic, slotOf(nic, position))),
    ]),
    ...spec.disks.flatMap((disk, index) =>
      diskArguments(disk, index, launch, spec.directBoot === undefined, block(slots.firstDisk + index)),
    ),
    ...(spec.configDrive === undefined ? [] : configDriveArguments(spec.configDrive, launch, block(slots.configDrive))),
    ...directBootArguments(spec),
    ...(launch.incoming ? ['-incoming', 'defer'] : []),
  ];
}

/** Beside the source of randomness, as its second function: every slot has its device. Two ports, of which the first is a console's: the number is part of the machine. */
function agentArguments(launch: Launch, address: object): string[] {
  return [
    ...['-chardev', `socket,id=agent,path=${escaped(launch.agentSocket)},server=on,wait=off`],
    ...device({ driver: 'virtio-serial-pci', id: 'channels', max_ports: 2, ...address, addr: `0x${slots.rng.toString(16)}.0x1` }),
    ...device({ driver: 'virtserialport', id: 'agent0', bus: 'channels.0', nr: 1, chardev: 'agent', name: agentPort }),
  ];
}

/** Whether other devices sit in the slot of the source of randomness. */
const shares = ({ guestAgent, maxRamMib }: Pick<GuestSpec, 'guestAgent' | 'maxRamMib'>): boolean =>
  guestAgent === true || maxRamMib !== undefined;

/**
 * When a round of a move looks for dirty pages, QEMU 10.0 under TCG takes every block of memory to begin at 0 (physical_memory_sync_dirty_bitmap), unless its size is no multiple of 256 KiB: it aborts where other memory ends in
 * between, and else watches other pages than those that it has looked at. So the place for more is made first, which does begin at 0 (conformance: place-begins-at-zero), and the machine's own memory ends two pages short.
 */
const tcgShortfallBytes = 8_192;

function memoryArguments(spec: Pick<GuestSpec, 'ramMib' | 'maxRamMib' | 'accelerator'>): string[] {
  const bytes = spec.ramMib * mib;
  const placeMib = memoryPlaceMib(spec);
  if (placeMib === null) return ['-m', `${spec.ramMib}M`, '-object', json(memoryBackend(ramObject, bytes))];
  const own = spec.accelerator === 'tcg' ? bytes - tcgShortfallBytes : bytes;
  return [
    ...['-m', `size=${own / 1024}K,maxmem=${(own + placeMib * mib) / 1024}K`],
    // Nothing is set aside on the host for what its guest has not.
    ...['-object', json({ ...memoryBackend(addedRamObject, placeMib * mib), reserve: false })],
    ...['-object', json(memoryBackend(ramObject, own))],
  ];
}

const memoryBackend = (id: string, size: number): Readonly<Record<string, unknown>> => ({
  'qom-type': 'memory-backend-memfd',
  id,
  size,
  share: true,
});

/**
 * A machine that loads a stream has from it what its guest was given. Of the place only what holds something of that is mapped: else a guest would have the whole of it by writing to it, without its driver and beside every ledger
 * (conformance: place-is-not-mapped).
 */
const memoryFrontend = ({ addedRamMib }: Pick<GuestSpec, 'addedRamMib'>): Readonly<Record<string, unknown>> => ({
  driver: 'virtio-mem-pci',
  id: memoryDevice,
  memdev: addedRamObject,
  'block-size': memoryStepMib * mib,
  'requested-size': (addedRamMib ?? 0) * mib,
  'dynamic-memslots': true,
  'unplugged-inaccessible': 'on',
});

/** A vCPU that was plugged in is one of the first here: QEMU's stream names vCPUs by their place, and not by how they came. */
const smp = ({ vcpus, maxVcpus }: Pick<GuestSpec, 'vcpus' | 'maxVcpus'>): string =>
  maxVcpus === undefined
    ? `${vcpus},sockets=1,cores=${vcpus},threads=1`
    : `${vcpus},maxcpus=${maxVcpus},sockets=1,cores=${maxVcpus},threads=1`;

/** QEMU gives a disk a queue for each vCPU that is there when it starts, which its destination would have more of: the stream does not load (conformance: queues-follow-vcpus). */
const blockQueues = ({ maxVcpus }: Pick<GuestSpec, 'maxVcpus'>): object => (maxVcpus === undefined ? {} : { 'num-queues': maxVcpus });

/**
 * A thread for each vCPU shares the translation buffer out among them, and QEMU 10.0 aborts when a vCPU is plugged in while the others hold all of it (tcg/region.c: a 16 MiB buffer is full before a Linux
 * has booted; a larger one makes that rarer, not impossible). One thread for all has no shares.
 */
const tcgThread = ({ maxVcpus }: Pick<GuestSpec, 'maxVcpus'>): 'multi' | 'single' => (maxVcpus === undefined ? 'multi' : 'single');

function monitor(id: string, socket: string): string[] {
  return ['-chardev', `socket,id=${id},path=${escaped(socket)},${servedMonitor}`, '-mon', `chardev=${id},mode=control`];
}

/** QEMU's end of a port: what `-netdev` and `netdev_add` take. */
export const nicBackend = (nic: Pick<NicSpec, 'tapName'>, slot: number, vhost: boolean): Readonly<Record<string, unknown>> => ({
  type: 'tap',
  id: netdevId(slot),
  ifname: nic.tapName,
  script: 'no',
  downscript: 'no',
  vhost,
});

/** The card that the guest sees: what `-device` and `device_add` take. No option ROM: it would be one more RAM block that both sides must have byte for byte, for a network boot that we do not offer. */
export const nicFrontend = (
  spec: Pick<GuestSpec, 'machineType' | 'deviceLayout'>,
  nic: Pick<NicSpec, 'mac' | 'mtu'>,
  slot: number,
): Readonly<Record<string, unknown>> => ({
  driver: 'virtio-net-pci',
  id: nicDevice(slot),
  netdev: netdevId(slot),
  mac: nic.mac,
  romfile: '',
  ...(nic.mtu !== undefined && { host_mtu: nic.mtu }),
  ...nicAddress(spec, slot),
});

function diskArguments(disk: DiskSpec, index: number, launch: Launch, bootable: boolean, address: object): string[] {
  const backing = disk.backing ? backingArguments(disk.backing, index, 1) : [];
  return [
    ...backing,
    ...blockdev(
      disk.rbd === undefined
        ? fileNode(diskFileNode(index), disk.path, disk.readOnly, disk.directIo, launch.imageLocking)
        : {
            ...rbdNode(disk.rbd),
            'node-name': diskFileNode(index),
            'read-only': disk.readOnly,
            discard: 'unmap',
            cache: { direct: disk.directIo, 'no-flush': false },
          },
    ),
    ...blockdev({
      driver: disk.format,
      'node-name': diskNode(index),
      file: diskFileNode(index),
      'read-only': disk.readOnly,
      discard: 'unmap',
      'detect-zeroes': disk.readOnly ? 'off' : 'unmap',
      cache: { direct: disk.directIo, 'no-flush': false },
      // null: QEMU must not open whatever the image's own header names.
      ...(disk.format === 'qcow2' && { backing: disk.backing ? backingNode(index, 1) : null }),
    }),
    ...device({
      driver: 'virtio-blk-pci',
      id: diskDevice(index),
      drive: diskNode(index),
      serial: disk.id.slice(0, 20),
      'write-cache': 'on',
      // A write that fails (pool full, storage gone) stops the guest, which can go on once the cause is removed, instead of breaking its file system.
      werror: disk.readOnly ? 'report' : 'stop',
      rerror: 'report',
      ...(bootable && index === 0 && { bootindex: 1 }),
      ...address,
    }),
  ];
}

/** No disk of the guest's: nothing mirrors it in a move, whose destination has made the same one. Found by its label. */
function configDriveArguments(path: string, launch: Launch, address: object): string[] {
  const file = `${configDriveNode}-file`;
  return [
    ...blockdev(fileNode(file, path, true, false, launch.imageLocking)),
    ...blockdev({ driver: 'raw', 'node-name': configDriveNode, file, 'read-only': true }),
    ...device({ driver: 'virtio-blk-pci', id: 'config0', drive: configDriveNode, serial: 'config-2', rerror: 'report', ...address }),
  ];
}

/** Node of the format layer of an image below a disk: depth 1 is the disk's own backing image. */
export const backingNode = (index: number, depth: number): string => `disk${index}-back${depth}`;

function backingArguments(layer: BackingSpec, index: number, depth: number): string[] {
  const node = backingNode(index, depth);
  return [
    ...(layer.backing ? backingArguments(layer.backing, index, depth + 1) : []),
    // Read-only and written once: its lock would only hinder other guests on it from starting, and the page cache cannot go stale.
    ...blockdev(fileNode(`${node}-file`, layer.path, true, false, false)),
    ...blockdev({
      driver: layer.format,
      'node-name': node,
      file: `${node}-file`,
      'read-only': true,
      ...(layer.format === 'qcow2' && { backing: layer.backing ? backingNode(index, depth + 1) : null }),
    }),
  ];
}

function fileNode(node: string, path: string, readOnly: boolean, direct: boolean, locking: boolean): object {
  return {
    driver: 'file',
    'node-name': node,
    filename: path,
    'read-only': readOnly,
    discard: 'unmap',
    aio: 'threads',
    cache: { direct, 'no-flush': false },
    locking: locking ? 'on' : 'off',
  };
}

function directBootArguments(spec: GuestSpec): string[] {
  const boot = spec.directBoot;
  if (!boot) return [];
  return ['-kernel', boot.kernelPath, ...(boot.initrdPath === undefined ? [] : ['-initrd', boot.initrdPath]), '-append', boot.commandLine];
}

const json = (value: object): string => JSON.stringify(value);
const device = (value: object): string[] => ['-device', json(value)];
const blockdev = (value: object): string[] => ['-blockdev', json(value)];
/** Key=value options end at a comma; a doubled one stands for itself. */
const escaped = (value: string): string => value.replaceAll(',', ',,');
