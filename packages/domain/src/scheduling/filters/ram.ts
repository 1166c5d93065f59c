import { amount, type Filter } from '../filter.ts';

/** Free memory, over-commit ratio applied, holds the flavor's. */
export const ram: Filter = {
  name: 'ram',
  prepare: (demand) => {
    const neededMib = demand.flavor.ramMib;
    return (host) => {
      const freeMib = Math.floor(host.facts.ramMib * host.ratios.ramMib) - host.usage.ramMib;
      return freeMib >= neededMib
        ? null
        : { filter: 'ram', code: 'InsufficientRam', data: { neededMib, freeMib: Math.max(0, freeMib), missingMib: neededMib - freeMib } };
    };
  },
  describe: (rejection) => ({
    sentence: `needs ${amount(rejection, 'neededMib')} MB, ${amount(rejection, 'freeMib')} MB free`,
    smallestChange: `free ${amount(rejection, 'missingMib')} MB of memory here`,
  }),
};
