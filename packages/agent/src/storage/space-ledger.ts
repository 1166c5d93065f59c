import { GodwitError } from '@godwit/domain/errors';
import { type Pool, poolSpace } from './pool.ts';

/** Kept free on every pool, so that running guests' thin disks can still grow while somebody cleans up. */
export const reserveFloorBytes = 256 * 1024 * 1024;

/** A pool, or what is counted like one. */
export type Room = Pick<Pool, 'name' | 'path' | 'poolId'>;

/**
 * Space that operations in progress on this host are about to write. A claim holds from the check until the bytes are on disk (then statfs counts them) or the operation
 * has failed; two disks cannot both be promised the same last gigabyte.
 */
export class SpaceLedger {
  readonly #claims = new Map<string, Set<{ readonly bytes: number }>>();
  readonly #space: (pool: Room) => Promise<{ readonly freeBytes: number }>;

  constructor(space: (pool: Room) => Promise<{ readonly freeBytes: number }> = poolSpace) {
    this.#space = space;
  }

  /** Claims bytes of a pool; returns the release. Throws GodwitError NoSpace naming both numbers, claiming nothing. */
  async claim(pool: Room, bytes: number, floorBytes = reserveFloorBytes): Promise<() => void> {
    const { freeBytes } = await this.#space(pool);
    // From here to the end nothing waits: two claims that measured at the same time still see each other.
    const claims = this.#claims.get(pool.poolId) ?? new Set();
    const claimed = [...claims].reduce((sum, one) => sum + one.bytes, 0);
    const availableBytes = Math.max(0, freeBytes - claimed - floorBytes);
    if (bytes > availableBytes) {
      throw new GodwitError('NoSpace', `pool ${pool.name} has room for ${availableBytes} bytes, ${bytes} are needed`, {
        pool: pool.name,
        freeBytes,
        claimed,
        floorBytes,
      });
    }
    const claim = { bytes };
    this.#claims.set(pool.poolId, claims.add(claim));
    return () => claims.delete(claim);
  }
}
