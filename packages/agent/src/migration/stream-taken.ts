import { type ChosenStream, type MemoryStream, oneStreamBesideDisks } from '@godwit/domain/memory-stream';
import type { MigrationPolicy } from '../drivers/host-driver.ts';
import type { QemuHost } from '../drivers/qemu/qemu-host.ts';
import { allowed, type MigrationFeature } from '../qemu/forbidden.ts';

/** What every live migration of ours uses, and what its stream uses besides. */
const features: Readonly<Record<MemoryStream, readonly MigrationFeature[]>> = {
  single: ['pre-copy', 'tls', 'return-path'],
  multifd: ['pre-copy', 'tls', 'return-path', 'multifd'],
  zstd: ['pre-copy', 'tls', 'return-path', 'multifd', 'multifd-compression'],
};

/** Disks are brought in step while QEMU pauses before the switchover. */
const besideDisks: readonly MigrationFeature[] = ['pause-before-switchover'];

/** Why a QEMU of this version may not take part in a move with this stream, by the table of forbidden combinations; null: it may. */
export function streamForbidden(
  stream: MemoryStream,
  copiesDisks: boolean,
  version: string,
  { defaults }: Pick<QemuHost, 'defaults'>,
): string | null {
  const used = copiesDisks ? [...features[stream], ...besideDisks] : features[stream];
  const verdict = allowed(new Set(used), [version], defaults.accelerator);
  return verdict.allowed ? null : verdict.sentence;
}

/** How this host takes the memory of a move: as asked, unless disks are copied beside it or its QEMU may not. */
export function streamTaken(
  host: Pick<QemuHost, 'defaults' | 'capabilities'>,
  { memoryStream = 'single', blockMigration, localDiskIds }: Pick<MigrationPolicy, 'memoryStream' | 'blockMigration' | 'localDiskIds'>,
): ChosenStream {
  if (memoryStream === 'single') return { used: 'single', why: '' };
  if (blockMigration && localDiskIds.length > 0) return { used: 'single', why: oneStreamBesideDisks };
  const why = streamForbidden(memoryStream, false, host.capabilities.version, host);
  return why === null ? { used: memoryStream, why: '' } : { used: 'single', why };
}
