import { create } from '@bufbuild/protobuf';
import { type SyncGuestTimeResponse, SyncGuestTimeResponseSchema } from '@godwit/contract/gen/agent_pb';
import type { Guest } from '@godwit/contract/gen/guest_pb';
import { GuestReportSchema, type GuestReport as WireReport, GuestState as WireState } from '@godwit/contract/gen/guest_pb';
import { hostReport } from '@godwit/domain/custody/holder';
import { GodwitError } from '@godwit/domain/errors';
import type { DeviceLayout, DiskFormat } from '@godwit/domain/guest-spec';
import type { GuestTime } from '@godwit/domain/guest-time';
import { as } from '@godwit/domain/ids';
import type { GuestReport, GuestState } from '../drivers/guest-report.ts';
import type { WantedGuest } from '../drivers/wanted-guest.ts';
import { networkPolicyFromWire } from './wire-network.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A non-empty UUID, or BadRequest naming the field. Ids become parts of paths and interface names: nothing else may pass. */
export function idFromWire<T extends string>(value: string, field: string): T {
  if (!uuid.test(value)) throw new GodwitError('BadRequest', `${field} ${JSON.stringify(value)} is not a UUID`);
  return as<T>(value);
}

/** An int64 as a safe integer, or BadRequest. */
export function numberFromWire(value: bigint, field: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new GodwitError('BadRequest', `${field} ${value} is not a count`);
  return number;
}

/** A guest as asked for over RPC. Throws BadRequest when a field is missing or not what it must be. */
export function guestFromWire(wire: Guest | undefined): WantedGuest {
  if (!wire) throw new GodwitError('BadRequest', 'the request names no guest');
  return {
    serverId: idFromWire(wire.serverId, 'server id'),
    projectId: as(wire.projectId),
    name: wire.name,
    hostname: wire.hostname,
    vcpus: wire.vcpus,
    ...(wire.maxVcpus === 0 ? {} : { maxVcpus: wire.maxVcpus }),
    ramMib: numberFromWire(wire.ramMib, 'ram_mib'),
    ...(wire.maxRamMib === 0n ? {} : { maxRamMib: numberFromWire(wire.maxRamMib, 'max_ram_mib') }),
    ...(wire.addedRamMib === 0n ? {} : { addedRamMib: numberFromWire(wire.addedRamMib, 'added_ram_mib') }),
    machineType: wire.machineType,
    cpuModel: wire.cpuModel,
    deviceLayout: layoutFromWire(wire.deviceLayout),
    ...displayFromWire(wire.display),
    ...(wire.guestAgent && { guestAgent: true }),
    ...(wire.configDrive.length === 0 ? {} : { configDrive: wire.configDrive.map(({ path, content }) => ({ path, content })) }),
    ...(wire.networkPolicyJson === '' ? {} : { networkPolicy: networkPolicyFromWire(wire.networkPolicyJson) }),
    disks: wire.disks.map((disk) => ({
      diskId: plainWord(disk.diskId, 'disk id'),
      pool: disk.pool,
      format: formatFromWire(disk.format),
      sizeBytes: numberFromWire(disk.sizeBytes, 'size_bytes'),
      exists: disk.exists,
      image:
        disk.imageId === ''
          ? null
          : { imageId: idFromWire(disk.imageId, 'image id'), format: formatFromWire(disk.imageFormat), sha512: checksum(disk.imageSha512) },
    })),
    nics: wire.nics.map((nic) => ({
      portId: idFromWire(nic.portId === '' && nic.vlan !== 0 ? nic.vlanPortId : nic.portId, 'port id'),
      networkId: idFromWire(nic.networkId, 'network id'),
      mac: nic.mac.toLowerCase(),
      mtu: nic.mtu,
      bridge: nic.bridge,
      ...(nic.vlan === 0 ? {} : { vlan: nic.vlan }),
      ...(nic.slot === undefined ? {} : { slot: nic.slot }),
      fixedIps: nic.fixedIps.map(({ address, prefixLength, gateway }) => ({ address, prefixLength, gateway })),
    })),
    directBoot: wire.directBoot
      ? {
          kernelImageId: idFromWire(wire.directBoot.kernelImageId, 'kernel image id'),
          ramdiskImageId: wire.directBoot.ramdiskImageId === '' ? null : idFromWire(wire.directBoot.ramdiskImageId, 'ramdisk image id'),
          commandLine: wire.directBoot.commandLine,
        }
      : null,
  };
}

function plainWord(value: string, field: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value))
    throw new GodwitError('BadRequest', `${field} ${JSON.stringify(value)} is not a plain word`);
  return value;
}

function checksum(value: string): string {
  if (value !== '' && !/^[0-9a-f]{128}$/.test(value)) throw new GodwitError('BadRequest', 'image_sha512 is not a SHA-512 in hexadecimal');
  return value;
}

function layoutFromWire(value: number): DeviceLayout {
  if (value === 0 || value === 1) return 1;
  if (value === 2) return 2;
  throw new GodwitError('BadRequest', `device layout ${value} is unknown to this agent`);
}

function displayFromWire(value: string): Pick<WantedGuest, 'display'> {
  if (value === '') return {};
  if (value === 'vnc') return { display: value };
  throw new GodwitError('BadRequest', `display ${JSON.stringify(value)} is not vnc`);
}

function formatFromWire(value: string): DiskFormat {
  if (value === 'qcow2' || value === 'raw') return value;
  throw new GodwitError('BadRequest', `format ${JSON.stringify(value)} is neither qcow2 nor raw`);
}

const states: Readonly<Record<GuestState, WireState>> = {
  running: WireState.RUNNING,
  paused: WireState.PAUSED,
  shutoff: WireState.SHUTOFF,
  crashed: WireState.CRASHED,
  incoming: WireState.INCOMING,
  released: WireState.RELEASED,
  'io-error': WireState.IO_ERROR,
  suspended: WireState.SUSPENDED,
};
export const guestStateToWire = (state: GuestState): WireState => states[state];

export const guestTimeToWire = ({ driftBeforeMs, driftAfterMs, errorMs, outcome, detail }: GuestTime): SyncGuestTimeResponse =>
  create(SyncGuestTimeResponseSchema, {
    outcome,
    detail,
    ...(driftBeforeMs !== null && { driftBeforeMs }),
    ...(driftAfterMs !== null && { driftAfterMs }),
    ...(errorMs !== null && { errorMs }),
  });

export const guestReportToWire = (report: GuestReport): WireReport =>
  create(GuestReportSchema, {
    serverId: report.serverId,
    epoch: BigInt(report.epoch),
    state: states[report.state],
    detail: report.detail,
    migrationId: report.migrationId ?? '',
    pid: report.pid ?? 0,
    machineType: report.machineType,
    cpuModel: report.cpuModel,
    bootId: report.bootId,
    qemuVersion: report.qemuVersion ?? '',
    deviceLayout: report.deviceLayout ?? 0,
    ...(report.guestAgent !== undefined && { guestAgent: report.guestAgent }),
    vcpus: report.vcpus ?? 0,
    ramMib: BigInt(report.ramMib ?? 0),
    diskBytesUsed: BigInt(report.diskBytesUsed),
    copyEpoch: BigInt(report.copyEpoch ?? 0),
    custodyJson: JSON.stringify(hostReport(report.custody, null)),
  });
