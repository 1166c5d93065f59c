import { amount, type Filter, text } from '../filter.ts';
import { placeDisks } from '../place-disks.ts';

/**
 * Every disk can be there: a shared one only where the very same pool is mounted, a local one only where it may be copied
 * (block migration) into a local pool of that name with room, a new one wherever a pool of its kind has room.
 */
export const storageReach: Filter = {
  name: 'storage-reach',
  prepare: (demand) => {
    if (demand.disks.length === 0) return null;
    return ({ facts }) => {
      const placement = placeDisks(demand.disks, facts, demand.copiesLocalDisks);
      return 'rejection' in placement ? placement.rejection : null;
    };
  },
  describe: (rejection) => {
    const pool = text(rejection, 'pool');
    switch (rejection.code) {
      case 'SharedPoolMissing':
        return {
          sentence: `the disk is in shared pool ${pool}, which is not mounted here`,
          smallestChange: `mount pool ${pool} on this host`,
        };
      case 'LocalDisk':
        return {
          sentence: `the disk is in the local pool ${pool} of its host and block migration is off`,
          smallestChange: 'ask for block migration',
        };
      case 'PoolMissing':
        return { sentence: `needs a ${pool} pool, there is none here`, smallestChange: `make a ${pool} pool on this host` };
      default: {
        const [needed, free] = [amount(rejection, 'neededBytes'), amount(rejection, 'freeBytes')];
        return {
          sentence: `needs ${gib(needed)} GB in pool ${pool}, ${gib(free)} GB free`,
          smallestChange: `free ${gib(needed - free)} GB in pool ${pool}`,
        };
      }
    }
  },
};

/** In GiB to one decimal, rounded up so that "free 0 GB" is never the advice. */
const gib = (bytes: number): string => String(Math.ceil((bytes / 2 ** 30) * 10) / 10);
