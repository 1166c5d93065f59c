import type { MigrationReport, RamProgress } from '@godwit/contract/gen/migration_pb';
import type { MigrationMeasures } from '@godwit/domain/migration';

/** A clock reading that was not taken comes as 0 over the wire. */
const taken = (ms: number): number | null => (ms === 0 ? null : ms);

/** The blackout and what goes with it, from both sides' accounts. Destination readings are put on the source's clock by the offset that the source measured. */
export function measuresOf(source: MigrationReport | null, destination: MigrationReport | null): Partial<MigrationMeasures> {
  const stopped = taken(source?.stoppedAtMs ?? 0);
  const completed = taken(source?.completedAtMs ?? 0);
  const resumed = taken(destination?.resumedAtMs ?? 0);
  const offset = source?.clockOffsetMs ?? 0;
  const resumedOnSource = resumed === null ? null : resumed - offset;
  const ram = source?.ram;
  const pageSize = Number(ram?.pageSize ?? 0n);
  return {
    blackoutMs: stopped === null || resumedOnSource === null ? null : rounded(resumedOnSource - stopped),
    clockErrorMs: source === null || stopped === null ? null : rounded(source.clockErrorMs),
    hostClockOffsetMs: source === null || stopped === null ? null : rounded(source.clockOffsetMs),
    qemuDowntimeMs: source === null || completed === null ? null : source.qemuDowntimeMs,
    ownShareMs: completed === null || resumedOnSource === null ? null : rounded(resumedOnSource - completed),
    qemuTotalMs: source === null || completed === null ? null : source.qemuTotalMs,
    rounds: ram === undefined ? null : Number(ram.dirtySyncCount),
    dirtyRateBytesPerSecond: ram === undefined || pageSize === 0 ? null : Number(ram.dirtyPagesRate) * pageSize,
    linkBytesPerSecond: taken(source?.linkBytesPerSecond ?? 0),
    throughputBytesPerSecond: ram === undefined ? null : throughput(ram, source?.qemuTotalMs ?? 0),
    memoryPerWireByte: ram === undefined ? null : memoryPerWireByte(ram),
  };
}

/** Of memory; over the whole copy once it has ended, of the last moment while it goes on. */
const throughput = (ram: RamProgress, totalMs: number): number =>
  Math.round(totalMs > 0 ? (memorySent(ram) * 1000) / totalMs : (ram.mbps * 1e6) / 8);

/** What was sent, before it was compressed; an agent that does not tell does not compress. */
const memorySent = (ram: RamProgress): number => Number(ram.memoryBytes === 0n ? ram.transferredBytes : ram.memoryBytes);

/** Two digits: what is beside the pages makes no stream a compressed one. */
function memoryPerWireByte(ram: RamProgress): number | null {
  const wire = Number(ram.transferredBytes);
  return wire === 0 ? null : Math.max(1, Math.round((memorySent(ram) / wire) * 100) / 100);
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** The six byte counters of the OpenStack record. */
export function counters(report: MigrationReport) {
  const sum = (pick: (disk: MigrationReport['disks'][number]) => bigint): number =>
    report.disks.reduce((total, disk) => total + Number(pick(disk)), 0);
  const diskTotal = sum((disk) => disk.lengthBytes);
  const diskDone = sum((disk) => disk.offsetBytes);
  return {
    ...(report.ram === undefined
      ? {}
      : {
          memory_total_bytes: Number(report.ram.totalBytes),
          memory_processed_bytes: Number(report.ram.transferredBytes),
          memory_remaining_bytes: Number(report.ram.remainingBytes),
        }),
    disk_total_bytes: diskTotal,
    disk_processed_bytes: diskDone,
    disk_remaining_bytes: Math.max(0, diskTotal - diskDone),
  };
}

/** 0–100: the share of memory and disks that need not be sent any more. Never 100 before the end. */
export function progressOf(report: MigrationReport): number {
  const total = Number(report.ram?.totalBytes ?? 0n) + report.disks.reduce((sum, disk) => sum + Number(disk.lengthBytes), 0);
  const remaining =
    Number(report.ram?.remainingBytes ?? 0n) + report.disks.reduce((sum, disk) => sum + Number(disk.lengthBytes - disk.offsetBytes), 0);
  if (total === 0) return 0;
  return Math.max(0, Math.min(99, Math.round(100 * (1 - remaining / total))));
}
