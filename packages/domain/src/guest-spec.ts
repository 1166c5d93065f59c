import { memoryProblems } from './guest-memory.ts';
import type { NetworkId, PortId, ServerId } from './ids.ts';

/**
 * A guest as one host runs it: plain data, JSON-serialisable, kept beside the process (`spec.json`) and sent to the other host of a move.
 * What both sides of a migration must agree on is here; what belongs to one process only (sockets, TLS files, incoming) is not.
 */
export type GuestSpec = {
  readonly serverId: ServerId;
  /** The server's name in the API; never reaches QEMU's command line. */
  readonly name: string;
  /** That the guest has now. */
  readonly vcpus: number;
  /** So many it can have without being started anew: its machine has places for them from the start. Absent: what it has, and a machine without such places. */
  readonly maxVcpus?: number;
  /** That its machine is started with. */
  readonly ramMib: number;
  /** So much memory it can have without being started anew: its machine has a place for it from the start. Absent: what it is started with, and a machine without such a place. */
  readonly maxRamMib?: number;
  /** That it was given beyond `ramMib`, in its own units (guest-memory.ts); absent: none. */
  readonly addedRamMib?: number;
  /** Pinned and versioned, e.g. `pc-q35-10.0`: an alias such as `q35` means another machine on another QEMU. */
  readonly machineType: string;
  /** QEMU's `-cpu` value: a model with its feature changes, e.g. `Nehalem-v1` or `Skylake-Server-v5,-hle`. */
  readonly cpuModel: string;
  readonly accelerator: 'tcg' | 'kvm';
  /**
   * Version of Godwit's own device layout (which device sits in which PCI slot). Pinned at creation: a guest keeps it across moves to newer agents,
   * because QEMU's migration stream names devices by slot.
   */
  readonly deviceLayout: DeviceLayout;
  readonly disks: readonly DiskSpec[];
  readonly nics: readonly NicSpec[];
  /** Absolute path on this host of the read-only drive that tells the guest who it is; the same bytes on every host. */
  readonly configDrive?: string;
  /** Absent: the guest boots from its first disk. */
  readonly directBoot?: DirectBootSpec;
  readonly graphics: 'none' | 'vnc';
  readonly balloon: boolean;
  /** Has a channel for the QEMU guest agent, as the image's `hw_qemu_guest_agent` asks. Absent: none, and its machine is as it was before there were any. */
  readonly guestAgent?: true;
  /** Where the serial console's log segments lie, absolute on this host: on a shared pool, so that the log goes on across moves. Absent: in the run directory. */
  readonly consoleDir?: string;
};

/**
 * 1: ports sit on the machine's own bus, where a q35 machine takes none while it runs. 2: they sit on the bus of a bridge, which does; each in the place that is its own on every host.
 */
export type DeviceLayout = 1 | 2;
/** What an agent of this version can build. */
export const newestDeviceLayout: DeviceLayout = 2;

export type DiskFormat = 'qcow2' | 'raw';

export type DiskSpec = DiskOfGuest & (FilePlace | RbdPlace);

/** Where a disk lies, as this host reaches it: a file (path absolute), or an image of a Ceph cluster. */
type FilePlace = { readonly path: string; readonly rbd?: undefined };
type RbdPlace = { readonly rbd: RbdImage; readonly path?: undefined };

/** A RADOS block device, as QEMU's own driver opens it. `conf`: absolute path on this host of the cluster's configuration; `user` without `client.`, absent: `admin`. */
export type RbdImage = {
  readonly pool: string;
  readonly namespace?: string;
  readonly image: string;
  readonly conf: string;
  readonly user?: string;
};

type DiskOfGuest = {
  /** Unique within the guest; shown to it as the disk's serial (its first 20 characters). */
  readonly id: string;
  readonly format: DiskFormat;
  /** Only for qcow2. Given explicitly: a file name inside an image is never followed. */
  readonly backing?: BackingSpec;
  readonly readOnly: boolean;
  /** `shared`: the destination opens the same file; `local`: a move has to copy it. */
  readonly storage: 'shared' | 'local';
  readonly sizeBytes: number;
  /** O_DIRECT. On a shared pool without it, host page caches may disagree after a move. */
  readonly directIo: boolean;
};

/** A read-only layer below a disk. */
export type BackingSpec = { readonly path: string; readonly format: DiskFormat; readonly backing?: BackingSpec };

export type NicSpec = {
  readonly portId: PortId;
  /** Lower case, colons. */
  readonly mac: string;
  readonly tapName: string;
  readonly networkId: NetworkId;
  /** Told to the guest as its MTU; absent: 1500. */
  readonly mtu?: number;
  /** Its tap is an access port of this VLAN, which the guest does not see; absent: untagged. */
  readonly vlan?: number;
  /** Which of the guest's eight places it has, 0…7; kept for as long as the port is the guest's. Absent: its position in the list. */
  readonly slot?: number;
};

/** OpenStack's image properties kernel_id, ramdisk_id, os_command_line, as files on this host. */
export type DirectBootSpec = { readonly kernelPath: string; readonly initrdPath?: string; readonly commandLine: string };

/** Limits of both device layouts. */
export const guestLimits = { vcpus: 255, minRamMib: 1, nics: 8, disks: 17, commandLineBytes: 2047, backingLayers: 8 } as const;

/** VLANs that networks can have. 1 is where bridges keep what is untagged; 0 and 4095 are reserved (IEEE 802.1Q). */
export const vlanIds = { first: 2, last: 4094 } as const;
export const isVlanId = (id: number): boolean => Number.isInteger(id) && id >= vlanIds.first && id <= vlanIds.last;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const macAddress = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;
/** A machine type with a version: pc-q35-10.0, pc-i440fx-9.2. */
const pinnedMachine = /^pc-(q35|i440fx)-\d+\.\d+(\.\d+)?$/;
/** A CPU model and feature words; nothing that could start another option. */
const cpu = /^[A-Za-z0-9][A-Za-z0-9._-]*(,([+-][a-z0-9._-]+|[a-z0-9._-]+=[a-z0-9._-]+))*$/;
/** Linux: 15 bytes, no slash, no white space. */
const interfaceName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/;
const diskId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Place of a port of the list. */
export const slotOf = (nic: Pick<NicSpec, 'slot'>, position: number): number => nic.slot ?? position;

/** Whether ports can come and go while a machine with this layout runs: an i440fx takes them on its own bus. */
export const takesPortsRunning = (spec: Pick<GuestSpec, 'deviceLayout' | 'machineType'>): boolean =>
  spec.deviceLayout >= 2 || spec.machineType.startsWith('pc-i440fx');

/** Everything wrong with a spec, one sentence each with the datum; empty when QEMU can be started from it. */
export function guestSpecProblems(spec: GuestSpec): readonly string[] {
  const problems: string[] = [];
  const demand = (holds: boolean, sentence: string): void => {
    if (!holds) problems.push(sentence);
  };
  demand(uuid.test(spec.serverId), `server id ${JSON.stringify(spec.serverId)} is not a UUID`);
  demand(
    Number.isInteger(spec.vcpus) && spec.vcpus >= 1 && spec.vcpus <= guestLimits.vcpus,
    `vcpus ${spec.vcpus} is not between 1 and ${guestLimits.vcpus}`,
  );
  demand(
    spec.maxVcpus === undefined || (Number.isInteger(spec.maxVcpus) && spec.maxVcpus >= spec.vcpus && spec.maxVcpus <= guestLimits.vcpus),
    `at most ${spec.maxVcpus} vcpus is not between its ${spec.vcpus} and ${guestLimits.vcpus}`,
  );
  demand(Number.isSafeInteger(spec.ramMib) && spec.ramMib >= guestLimits.minRamMib, `ram ${spec.ramMib} MiB is not a positive integer`);
  problems.push(...memoryProblems(spec));
  demand(pinnedMachine.test(spec.machineType), `machine type ${JSON.stringify(spec.machineType)} is not a versioned pc-q35 or pc-i440fx`);
  demand(cpu.test(spec.cpuModel), `cpu model ${JSON.stringify(spec.cpuModel)} is not a model with features`);
  demand(spec.deviceLayout === 1 || spec.deviceLayout === 2, `device layout ${String(spec.deviceLayout)} is unknown to this agent`);
  demand(spec.disks.length <= guestLimits.disks, `${spec.disks.length} disks are more than ${guestLimits.disks}`);
  demand(spec.nics.length <= guestLimits.nics, `${spec.nics.length} ports are more than ${guestLimits.nics}`);
  demand(distinct(spec.disks.map((disk) => disk.id)), 'two disks have the same id');
  demand(distinct(spec.disks.filter((disk) => !disk.readOnly).map(placeOf)), 'two writable disks have the same path');
  demand(distinct(spec.nics.map((nic, position) => String(slotOf(nic, position)))), 'two ports have the same place');
  demand(distinct(spec.nics.map((nic) => nic.mac)), 'two ports have the same MAC address');
  demand(distinct(spec.nics.map((nic) => nic.tapName)), 'two ports have the same tap');
  demand(
    spec.consoleDir === undefined || absolute(spec.consoleDir),
    `console directory ${JSON.stringify(spec.consoleDir)} is not absolute and plain`,
  );
  demand(
    spec.configDrive === undefined || absolute(spec.configDrive),
    `config drive ${JSON.stringify(spec.configDrive)} is not absolute and plain`,
  );
  for (const disk of spec.disks) problems.push(...diskProblems(disk));
  for (const nic of spec.nics) problems.push(...nicProblems(nic));
  if (spec.directBoot) {
    demand(absolute(spec.directBoot.kernelPath), `kernel path ${JSON.stringify(spec.directBoot.kernelPath)} is not absolute and plain`);
    demand(
      spec.directBoot.initrdPath === undefined || absolute(spec.directBoot.initrdPath),
      `initrd path ${JSON.stringify(spec.directBoot.initrdPath)} is not absolute and plain`,
    );
    const line = spec.directBoot.commandLine;
    demand(
      line.length <= guestLimits.commandLineBytes && !hasControl(line),
      `the kernel command line is longer than ${guestLimits.commandLineBytes} bytes or has control characters`,
    );
  }
  return problems;
}

function diskProblems(disk: DiskSpec): string[] {
  const problems: string[] = [];
  if (!diskId.test(disk.id)) problems.push(`disk id ${JSON.stringify(disk.id)} is not a plain word`);
  if (disk.rbd !== undefined) problems.push(...rbdProblems(disk, disk.rbd));
  else if (!absolute(disk.path)) problems.push(`path ${JSON.stringify(disk.path)} of disk ${disk.id} is not absolute and plain`);
  if (!Number.isSafeInteger(disk.sizeBytes) || disk.sizeBytes < 512 || disk.sizeBytes % 512 !== 0)
    problems.push(`size ${disk.sizeBytes} of disk ${disk.id} is not a multiple of 512 bytes`);
  if (disk.backing && disk.format !== 'qcow2') problems.push(`disk ${disk.id} is ${disk.format} and cannot have a backing image`);
  let layers = 0;
  for (let layer = disk.backing; layer; layer = layer.backing) {
    layers += 1;
    if (layers > guestLimits.backingLayers) {
      problems.push(`disk ${disk.id} has more than ${guestLimits.backingLayers} backing layers`);
      break;
    }
    if (!absolute(layer.path)) problems.push(`backing path ${JSON.stringify(layer.path)} of disk ${disk.id} is not absolute and plain`);
    if (layer.backing && layer.format !== 'qcow2') problems.push(`a raw layer of disk ${disk.id} cannot have a backing image`);
  }
  return problems;
}

const placeOf = ({ path, rbd }: DiskSpec): string => path ?? [rbd?.pool, rbd?.namespace ?? '', rbd?.image].join('/');

/** Ceph itself takes nearly any name; these need no quoting anywhere. */
export const isCephName = (name: unknown): name is string => typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/.test(name);

function rbdProblems({ id, format, storage }: Pick<DiskSpec, 'id' | 'format' | 'storage'>, rbd: RbdImage): string[] {
  const problems: string[] = [];
  for (const name of [rbd.pool, rbd.image, rbd.namespace, rbd.user])
    if (name !== undefined && !isCephName(name)) problems.push(`${JSON.stringify(name)} of disk ${id} is no plain name of Ceph's`);
  if (!absolute(rbd.conf)) problems.push(`configuration ${JSON.stringify(rbd.conf)} of disk ${id} is not absolute and plain`);
  if (format !== 'raw' || storage !== 'shared') problems.push(`disk ${id} is an RBD image, which is raw and shared`);
  return problems;
}

function nicProblems(nic: NicSpec): string[] {
  const problems: string[] = [];
  if (!macAddress.test(nic.mac)) problems.push(`MAC ${JSON.stringify(nic.mac)} of port ${nic.portId} is not a lower-case unicast address`);
  if (!interfaceName.test(nic.tapName))
    problems.push(`tap name ${JSON.stringify(nic.tapName)} of port ${nic.portId} is not an interface name`);
  if (nic.slot !== undefined && !(Number.isInteger(nic.slot) && nic.slot >= 0 && nic.slot < guestLimits.nics))
    problems.push(`place ${nic.slot} of port ${nic.portId} is not between 0 and ${guestLimits.nics - 1}`);
  if (nic.vlan !== undefined && !isVlanId(nic.vlan))
    problems.push(`VLAN ${nic.vlan} of port ${nic.portId} is not between ${vlanIds.first} and ${vlanIds.last}`);
  if (nic.mtu !== undefined && !(Number.isInteger(nic.mtu) && nic.mtu >= 68 && nic.mtu <= 65_535))
    problems.push(`MTU ${nic.mtu} of port ${nic.portId} is not between 68 and 65535`);
  return problems;
}

const distinct = (values: readonly string[]): boolean => new Set(values).size === values.length;
const absolute = (path: string): boolean => path.startsWith('/') && !path.split('/').includes('..') && !hasControl(path);
const hasControl = (text: string): boolean => [...text].some((one) => one < ' ' || one === '\x7f');
