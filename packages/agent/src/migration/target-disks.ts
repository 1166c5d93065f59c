import { rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DiskSpec } from '@godwit/domain/guest-spec';
import type { ServerId } from '@godwit/domain/ids';
import type { WantedDisk } from '../drivers/wanted-guest.ts';
import { refuseEscape } from '../storage/confined-path.ts';
import { createDisk, diskPath } from '../storage/disk-store.ts';
import type { Pool } from '../storage/pool.ts';

/** A disk to be copied to this host: its pool here, and where the image below it lies there; null: it has none, or is whole in itself (raw). */
export type TargetDisk = { readonly disk: WantedDisk; readonly pool: Pool; readonly imagePath: string | null };

/**
 * Makes the empty disks that the source of a move fills, replacing what lies there of the guest: custody has granted the guest to this host, so no copy of it lives here.
 * Answers which of them lie on an image. Throws what createDisk throws.
 */
export async function makeTargetDisks(serverId: ServerId, targets: readonly TargetDisk[]): Promise<readonly string[]> {
  for (const { disk, pool, imagePath } of targets) {
    const { diskId, format, sizeBytes, image } = disk;
    const path = diskPath(pool, serverId, diskId, format);
    await refuseEscape(pool.path, path);
    await rm(path, { force: true });
    const below = image && imagePath !== null ? { image: { path: imagePath, format: image.format, virtualSizeBytes: 0 } } : {};
    await createDisk(pool, { serverId, diskId, format, sizeBytes, ...below });
  }
  return targets.filter(({ imagePath }) => imagePath !== null).map(({ disk }) => disk.diskId);
}

/** Deletes disks that were made here for a move which is not coming, and their folder if nothing else is in it. Can be repeated. */
export async function removeCopies(disks: readonly DiskSpec[]): Promise<void> {
  for (const { path } of disks) {
    // No move copies into a cluster.
    if (path === undefined) continue;
    await rm(path, { force: true });
    await rmdir(dirname(path)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
    });
  }
}
