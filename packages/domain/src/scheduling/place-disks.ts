import type { HostFacts, PoolFacts } from '../host.ts';
import type { Rejection } from './filter.ts';
import type { DemandedDisk } from './server-demand.ts';

export type DiskPlacement = { readonly pools: readonly PoolFacts[] } | { readonly rejection: Rejection };

/**
 * The pool that each disk would live in on a host with these facts, in the disks' order, or why one has none. Disks that
 * land in one pool have to fit together. A new disk that may live anywhere goes to a shared pool where there is one: its
 * server then moves without copying it.
 */
export function placeDisks(disks: readonly DemandedDisk[], facts: HostFacts, copiesLocalDisks: boolean): DiskPlacement {
  const pools: PoolFacts[] = [];
  for (const disk of disks) {
    const placed = place(disk, facts, copiesLocalDisks, disks, pools);
    if ('code' in placed) return { rejection: placed };
    pools.push(placed);
  }
  return { pools };
}

/** Bytes of the disks placed so far (`pools` beside them) that will take room in `pool`. */
function taken(pool: PoolFacts, disks: readonly DemandedDisk[], pools: readonly PoolFacts[]): number {
  let bytes = 0;
  for (let index = 0; index < pools.length; index++) {
    const disk = disks[index];
    if (pools[index] === pool && disk !== undefined && disk.kind !== 'shared') bytes += disk.neededBytes;
  }
  return bytes;
}

function place(
  disk: DemandedDisk,
  facts: HostFacts,
  copiesLocalDisks: boolean,
  disks: readonly DemandedDisk[],
  pools: readonly PoolFacts[],
): PoolFacts | Rejection {
  const filter = 'storage-reach';
  if (disk.kind === 'shared') {
    for (const pool of facts.pools) if (pool.kind === 'shared' && pool.name === disk.pool && pool.poolId === disk.poolId) return pool;
    return { filter, code: 'SharedPoolMissing', data: { pool: disk.pool } };
  }
  if (disk.kind === 'local' && !copiesLocalDisks) return { filter, code: 'LocalDisk', data: { pool: disk.pool } };
  let best: PoolFacts | null = null;
  let bestFree = 0;
  for (const pool of facts.pools) {
    if (disk.kind === 'local' ? pool.kind !== 'local' || pool.name !== disk.pool : disk.storage !== 'any' && pool.kind !== disk.storage)
      continue;
    const free = pool.freeBytes - taken(pool, disks, pools);
    if (best === null || preferred(pool, free, best, bestFree, disk.neededBytes)) {
      best = pool;
      bestFree = free;
    }
  }
  if (best === null) {
    const pool = disk.kind === 'local' ? `local ${disk.pool}` : disk.storage === 'any' ? 'storage' : disk.storage;
    return { filter, code: 'PoolMissing', data: { pool } };
  }
  if (bestFree >= disk.neededBytes) return best;
  return { filter, code: 'PoolFull', data: { pool: best.name, neededBytes: disk.neededBytes, freeBytes: Math.max(0, bestFree) } };
}

/** With room before without, shared before local, more room before less, then by name. */
function preferred(pool: PoolFacts, free: number, than: PoolFacts, thanFree: number, neededBytes: number): boolean {
  const [fits, thanFits] = [free >= neededBytes, thanFree >= neededBytes];
  if (fits !== thanFits) return fits;
  if (pool.kind !== than.kind) return pool.kind === 'shared';
  if (free !== thanFree) return free > thanFree;
  return pool.name < than.name;
}
