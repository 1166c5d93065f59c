import { rm } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain/errors';
import type { ImageId, ServerId } from '@godwit/domain/ids';
import { consoleDirOf, createDisk, deleteDisk, deleteServerDisks, diskFacts, findDisk } from '../../storage/disk-store.ts';
import { cacheImage } from '../../storage/image-cache.ts';
import { type Pool, sharedMoveRefusal } from '../../storage/pool.ts';
import type { WantedDisk, WantedGuest } from '../wanted-guest.ts';
import { bootPool, diskSpecOf, poolNamed } from './guest-spec-of.ts';

type Pools = ReadonlyMap<string, Pool>;
type Fetch = (imageId: ImageId) => Promise<AsyncIterable<Uint8Array>>;

/** Makes every disk of a new guest, fetching images where this host's pools do not have them yet. Repeating it finds them. Throws what createDisk and cacheImage throw, and NotFound when a disk that must exist does not. */
export async function createGuestDisks(guest: WantedGuest, pools: Pools, fetch: Fetch): Promise<void> {
  await cacheBootImages(guest, pools, fetch);
  for (const disk of guest.disks) {
    const pool = poolNamed(pools, disk.pool);
    const { image } = disk;
    // A pool that is not mounted here must not turn into a blank disk under a guest that has data.
    if (disk.exists === true && !(await findDisk(pool, diskSpecOf(guest, disk, pool))))
      throw new GodwitError('NotFound', `disk ${disk.diskId} is not in pool ${pool.name} of this host, and is not made anew`, {
        pool: pool.name,
      });
    if (!image) {
      await createDisk(pool, { serverId: guest.serverId, diskId: disk.diskId, format: disk.format, sizeBytes: disk.sizeBytes });
      continue;
    }
    const path = await cacheImage(pool, image, () => fetch(image.imageId));
    const facts = await diskFacts(path, image.format);
    if (!facts) throw new GodwitError('Internal', `image ${image.imageId} vanished from the cache of pool ${pool.name}`);
    await createDisk(pool, {
      serverId: guest.serverId,
      diskId: disk.diskId,
      format: disk.format,
      sizeBytes: disk.sizeBytes,
      image: { path, format: image.format, virtualSizeBytes: facts.virtualSizeBytes },
    });
  }
}

/** Kernel and ramdisk of a guest that boots directly; the destination of a move needs them too, for its next reboot. */
export async function cacheBootImages(guest: WantedGuest, pools: Pools, fetch: Fetch): Promise<void> {
  if (!guest.directBoot) return;
  const pool = bootPool(guest, pools);
  for (const imageId of [guest.directBoot.kernelImageId, guest.directBoot.ramdiskImageId])
    if (imageId) await cacheImage(pool, { imageId, format: 'blob', sha512: '' }, () => fetch(imageId));
}

/** That the destination of a move without disk copies sees every disk. Throws GodwitError InvalidSharedStorage naming the first disk and why. */
export async function requireSharedDisks(guest: WantedGuest, pools: Pools): Promise<void> {
  for (const disk of guest.disks) {
    const pool = poolNamed(pools, disk.pool);
    const refusal = sharedMoveRefusal(pool);
    if (refusal) throw refusal;
    if (!(await findDisk(pool, diskSpecOf(guest, disk, pool)))) {
      throw new GodwitError(
        'InvalidSharedStorage',
        `disk ${disk.diskId} of server ${guest.serverId} is not visible in pool ${pool.name} of this host`,
        { pool: pool.name },
      );
    }
  }
}

/** Those disks that this host alone has. Throws GodwitError PoolUnavailable when one is in a pool that is not open: nobody who asks for its deletion may think that it is gone. */
export const ownDisks = (pools: Pools, disks: readonly WantedDisk[]): readonly WantedDisk[] =>
  disks.filter((disk) => poolNamed(pools, disk.pool).kind === 'local');

/** Deletes a guest's disks: the named ones, or, when nobody knows which it had, its folder in every pool. */
export async function deleteGuestDisks(serverId: ServerId, guest: WantedGuest | null, pools: Pools): Promise<void> {
  if (guest) {
    // Before the disks: their folder goes with the last of them, if nothing else is in it.
    for (const pool of pools.values()) await rm(consoleDirOf(pool, serverId), { recursive: true, force: true });
    for (const disk of guest.disks) {
      const pool = poolNamed(pools, disk.pool);
      await deleteDisk(pool, serverId, disk.diskId, disk.format);
    }
  } else for (const pool of pools.values()) await deleteServerDisks(pool, serverId);
}
