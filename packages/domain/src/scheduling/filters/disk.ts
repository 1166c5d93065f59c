import { amount, type Filter } from '../filter.ts';
import { physicalResources } from '../host-state.ts';

/** Unclaimed disk, over-commit ratio applied, holds the flavor's. What is free on the medium is the storage filter's matter. */
export const disk: Filter = {
  name: 'disk',
  prepare: (demand) => {
    const neededGib = demand.flavor.diskGib;
    if (neededGib === 0) return null;
    return (host) => {
      const freeGib = Math.floor(physicalResources(host.facts).diskGib * host.ratios.diskGib) - host.usage.diskGib;
      return freeGib >= neededGib
        ? null
        : { filter: 'disk', code: 'InsufficientDisk', data: { neededGib, freeGib: Math.max(0, freeGib), missingGib: neededGib - freeGib } };
    };
  },
  describe: (rejection) => ({
    sentence: `needs ${amount(rejection, 'neededGib')} GB of disk, ${amount(rejection, 'freeGib')} GB unclaimed`,
    smallestChange: `free ${amount(rejection, 'missingGib')} GB of disk claims here`,
  }),
};
