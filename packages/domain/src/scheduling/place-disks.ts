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
  const taken = new Map<PoolFacts, number>();
  const pools: PoolFacts[] = [];
  for (const disk of disks) {
    const placed = place(disk, facts, copiesLocalDisks, taken);
    if ('rejection' in placed) return placed;
    if (disk.kind !== 'shared') taken.set(placed.pool, (taken.get(placed.pool) ?? 0) + disk.neededBytes);
    pools.push(placed.pool);
  }
  return { pools };
}

function place(disk: DemandedDisk, facts: HostFacts, copiesLocalDisks: boolean, taken: ReadonlyMap<PoolFacts, number>): { readonly pool: PoolFacts } | { readonly rejection: Rejection } {
  const filter = 'storage-reach';
  if (disk.kind === 'shared') {
    const pool = facts.pools.find((one) => one.kind === 'shared' && one.poolId === disk.poolId);
    return pool === undefined ? { rejection: { filter, code: 'SharedPoolMissing', data: { pool: disk.pool } } } : { pool };
  }
  if (disk.kind === 'local' && !copiesLocalDisks) return { rejection: { filter, code: 'LocalDisk', data: { pool: disk.pool } } };
  const free = (pool: PoolFacts): number => pool.freeBytes - (taken.get(pool) ?? 0);
  const [best] = facts.pools
    .filter((pool) => (disk.kind === 'local' ? pool.kind === 'local' && pool.name === disk.pool : disk.storage === 'any' || pool.kind === disk.storage))
    .toSorted((a, b) => Number(free(b) >= disk.neededBytes) - Number(free(a) >= disk.neededBytes) || Number(b.kind === 'shared') - Number(a.kind === 'shared') || free(b) - free(a) || (a.name < b.name ? -1 : 1));
  if (best === undefined) {
    const pool = disk.kind === 'local' ? `local ${disk.pool}` : disk.storage === 'any' ? 'storage' : disk.storage;
    return { rejection: { filter, code: 'PoolMissing', data: { pool } } };
  }
  if (free(best) >= disk.neededBytes) return { pool: best };
  return { rejection: { filter, code: 'PoolFull', data: { pool: best.name, neededBytes: disk.neededBytes, freeBytes: Math.max(0, free(best)) } } };
}
