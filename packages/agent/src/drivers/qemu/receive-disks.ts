import { GodwitError } from '@godwit/domain/errors';
import { makeTargetDisks, type TargetDisk } from '../../migration/target-disks.ts';
import { cacheImage } from '../../storage/image-cache.ts';
import type { Pool } from '../../storage/pool.ts';
import type { SpaceLedger } from '../../storage/space-ledger.ts';
import type { MigrationPolicy } from '../host-driver.ts';
import type { WantedDisk, WantedGuest, WantedImage } from '../wanted-guest.ts';
import { poolNamed } from './guest-spec-of.ts';

/** The disks of a guest that a move copies, and those that it leaves where both hosts see them. */
export function splitDisks(
  guest: WantedGuest,
  { blockMigration, localDiskIds }: Pick<MigrationPolicy, 'blockMigration' | 'localDiskIds'>,
): { readonly copied: readonly WantedDisk[]; readonly shared: readonly WantedDisk[] } {
  const isCopied = ({ diskId }: WantedDisk): boolean => blockMigration && localDiskIds.includes(diskId);
  return { copied: guest.disks.filter(isCopied), shared: guest.disks.filter((disk) => !isCopied(disk)) };
}

/** Room and images for the disks that will be copied here. `make` makes them; `release` gives back the room that was promised and not used. */
export type DiskReception = { readonly make: () => Promise<readonly string[]>; readonly release: () => void };

/**
 * Before anything of a move has begun: promises room for every disk at its full size (with `overCommit`: that the pool is not full now), and brings the images below them into their pools. When it throws nothing has
 * changed but caches: InvalidLocalStorage for a disk in a shared pool, NoSpace naming both numbers, PoolUnavailable, what the image's transfer throws.
 */
export async function receiveDisks(
  guest: WantedGuest,
  copied: readonly WantedDisk[],
  overCommit: boolean,
  pools: ReadonlyMap<string, Pool>,
  space: SpaceLedger,
  fetch: (image: WantedImage, pool: string) => Promise<AsyncIterable<Uint8Array>>,
): Promise<DiskReception> {
  const releases: (() => void)[] = [];
  const release = (): void => {
    for (const one of releases.splice(0)) one();
  };
  try {
    const targets: TargetDisk[] = [];
    for (const disk of copied) {
      const pool = poolNamed(pools, disk.pool);
      if (pool.kind !== 'local')
        throw new GodwitError('InvalidLocalStorage', `disk ${disk.diskId} is in the shared pool ${pool.name}: it is never copied`);
      releases.push(await space.claim(pool, overCommit ? 0 : disk.sizeBytes));
      const { image } = disk;
      const imagePath = image && disk.format === 'qcow2' ? await cacheImage(pool, image, () => fetch(image, pool.name)) : null;
      targets.push({ disk, pool, imagePath });
    }
    return { make: () => makeTargetDisks(guest.serverId, targets), release };
  } catch (error) {
    release();
    throw error;
  }
}
