import { memoryOf } from '@godwit/domain/guest-memory';
import type { RamProgress } from '../drivers/migration-report.ts';
import type { GuestProcess } from '../qemu/guest-process.ts';
import { DiskMirrors } from './disk-mirrors.ts';
import type { Outgoing } from './outgoing.ts';
import { credentialsId } from './stream-setup.ts';

/** The mirrors of a move: one for each disk that the policy names; null when it names none. */
export function mirrorsOf(process: GuestProcess, { grant, ready, policy }: Outgoing): DiskMirrors | null {
  const disks = process.spec.disks.flatMap((disk, index) =>
    policy.blockMigration && policy.localDiskIds.includes(disk.id)
      ? [{ index, diskId: disk.id, overlay: ready.overlayDiskIds.includes(disk.id) }]
      : [],
  );
  if (disks.length === 0) return null;
  const credentials = ready.nbdPlain ? null : credentialsId(grant.migrationId);
  const target = { address: ready.ramAddress, port: ready.nbdPort, credentials };
  return new DiskMirrors(process, grant.migrationId, disks, target, policy.maxBandwidthBytes);
}

/**
 * What the record says of memory before QEMU has begun with it: progress counts disks and memory together, from the start. The rate is that of the disks, as long as only they are
 * sent: the time left is estimated from it.
 */
export function memoryToCopy({ spec }: GuestProcess, mbps: number): RamProgress {
  const totalBytes = memoryOf(spec) * 2 ** 20;
  return {
    totalBytes,
    transferredBytes: 0,
    memoryBytes: 0,
    remainingBytes: totalBytes,
    dirtyPagesRate: 0,
    dirtySyncCount: 0,
    pageSize: 4096,
    mbps,
  };
}
