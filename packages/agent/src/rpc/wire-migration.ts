import { create } from '@bufbuild/protobuf';
import {
  IncomingReadySchema,
  MigrationReportSchema,
  MigrationRole,
  type PeerAddress as WirePeer,
  type MigrationPolicy as WirePolicy,
  type IncomingReady as WireReady,
  type MigrationReport as WireReport,
} from '@godwit/contract/gen/migration_pb';
import { type ConvergencePolicy, defaultPolicy, postCopyRefusal } from '@godwit/domain/convergence/policy';
import { parsePolicy } from '@godwit/domain/convergence/resolve-policy';
import { GodwitError } from '@godwit/domain/errors';
import { isMemoryStream, type MemoryStream, memoryStreams } from '@godwit/domain/memory-stream';
import type { IncomingReady, MigrationPolicy, PeerAddress } from '../drivers/host-driver.ts';
import type { MigrationReport } from '../drivers/migration-report.ts';
import { takeAnswerToWire } from './wire-custody.ts';
import { guestStateToWire, idFromWire, numberFromWire } from './wire-guest.ts';

/** Measured best on the reference machine: a lower limit gave more rounds and no shorter blackout. */
const defaultDowntimeLimitMs = 30;

export function policyFromWire(wire: WirePolicy | undefined): MigrationPolicy {
  const downtime = wire ? numberFromWire(wire.downtimeLimitMs, 'downtime_limit_ms') : 0;
  if (wire?.postCopyAllowed) throw new GodwitError(postCopyRefusal.code, postCopyRefusal.sentence);
  // QEMU's own ceiling.
  if (downtime > 2_000_000) throw new GodwitError('BadRequest', `downtime_limit_ms ${downtime} is above 2000000`);
  return {
    downtimeLimitMs: downtime === 0 ? defaultDowntimeLimitMs : downtime,
    maxBandwidthBytes: wire ? numberFromWire(wire.maxBandwidthBytes, 'max_bandwidth_bytes') : 0,
    blockMigration: wire?.blockMigration ?? false,
    localDiskIds: wire?.localDiskIds ?? [],
    diskOverCommit: wire?.diskOverCommit ?? false,
    networkSwitch: wire?.networkSwitch ?? false,
    deadlineMs: wire ? numberFromWire(wire.deadlineMs, 'deadline_ms') : 0,
    convergence: wire ? convergenceFromWire(wire) : null,
    forceComplete: wire?.forceComplete ?? false,
    memoryStream: streamFromWire(wire?.memoryStream ?? '', 'memory_stream'),
  };
}

/** Empty: from whoever knows of one stream only. */
function streamFromWire(wire: string, field: string): MemoryStream {
  if (wire === '') return 'single';
  if (isMemoryStream(wire)) return wire;
  throw new GodwitError('BadRequest', `${field} "${wire.slice(0, 60)}" is none of ${memoryStreams.join(', ')}`);
}

function convergenceFromWire(wire: WirePolicy): ConvergencePolicy | null {
  const largestBlackoutMs = numberFromWire(wire.largestBlackoutMs, 'largest_blackout_ms');
  if (largestBlackoutMs === 0) return null;
  const { policy, problems } = parsePolicy({
    largestBlackoutMs,
    deadlineMs: numberFromWire(wire.deadlineMs, 'deadline_ms'),
    slowDownPercent: wire.slowDownPercent,
    whenNotConverging: wire.pauseWhenNotConverging ? 'pause' : 'give-up',
  });
  if (problems[0]) throw new GodwitError('BadRequest', problems[0].sentence);
  return { ...defaultPolicy, ...policy };
}

export function peerFromWire(wire: WirePeer | undefined, field: string): PeerAddress {
  if (!wire) throw new GodwitError('BadRequest', `the request names no ${field}`);
  if (wire.address === '' || wire.rpcPort < 1 || wire.rpcPort > 65_535)
    throw new GodwitError('BadRequest', `${field} ${JSON.stringify(wire.address)}:${wire.rpcPort} is not an address`);
  return { hostId: idFromWire(wire.hostId, `${field} host id`), address: wire.address, rpcPort: wire.rpcPort };
}

export function readyFromWire(wire: WireReady | undefined): IncomingReady {
  if (!wire) throw new GodwitError('BadRequest', 'the request does not say what the destination opened');
  return {
    migrationId: idFromWire(wire.migrationId, 'migration id'),
    ramAddress: wire.ramAddress,
    ramPort: wire.ramPort,
    nbdPort: wire.nbdPort,
    overlayDiskIds: wire.overlayDiskIds,
    nbdPlain: wire.nbdPlain,
    ramPlain: wire.ramPlain,
    machineType: wire.machineType,
    cpuModel: wire.cpuModel,
    preparedMs: wire.preparedMs,
    devices: wire.devices,
    stream: { used: streamFromWire(wire.memoryStream, 'memory_stream'), why: wire.memoryStreamWhy },
  };
}

export const readyToWire = ({ stream, ...ready }: IncomingReady): WireReady =>
  create(IncomingReadySchema, {
    ...ready,
    overlayDiskIds: [...ready.overlayDiskIds],
    memoryStream: stream?.used ?? 'single',
    memoryStreamWhy: stream?.why ?? '',
  });

export const migrationReportToWire = (report: MigrationReport): WireReport =>
  create(MigrationReportSchema, {
    migrationId: report.migrationId,
    serverId: report.serverId,
    role: report.role === 'source' ? MigrationRole.SOURCE : MigrationRole.DESTINATION,
    epoch: BigInt(report.epoch),
    state: report.state,
    qemuStatus: report.qemuStatus,
    ...(report.ram && {
      ram: {
        totalBytes: BigInt(report.ram.totalBytes),
        transferredBytes: BigInt(report.ram.transferredBytes),
        remainingBytes: BigInt(report.ram.remainingBytes),
        dirtyPagesRate: BigInt(report.ram.dirtyPagesRate),
        dirtySyncCount: BigInt(report.ram.dirtySyncCount),
        pageSize: BigInt(report.ram.pageSize),
        mbps: report.ram.mbps,
        memoryBytes: BigInt(report.ram.memoryBytes ?? 0),
      },
    }),
    disks: report.disks.map((disk) => ({
      diskId: disk.diskId,
      lengthBytes: BigInt(disk.lengthBytes),
      offsetBytes: BigInt(disk.offsetBytes),
      ready: disk.ready,
    })),
    timeline: report.timeline.map(({ atMs, what, detail }) => ({ atMs, what, detail })),
    cause: report.cause ?? '',
    detail: report.detail,
    guestState: guestStateToWire(report.guestState),
    stoppedAtMs: report.stoppedAtMs ?? 0,
    completedAtMs: report.completedAtMs ?? 0,
    resumedAtMs: report.resumedAtMs ?? 0,
    clockOffsetMs: report.clockOffsetMs ?? 0,
    clockErrorMs: report.clockErrorMs ?? 0,
    qemuDowntimeMs: report.qemuDowntimeMs ?? 0,
    qemuTotalMs: report.qemuTotalMs ?? 0,
    networkVerified: report.networkVerified,
    linkBytesPerSecond: report.linkBytesPerSecond ?? 0,
    ...(report.taken && { taken: takeAnswerToWire(report.taken) }),
  });
