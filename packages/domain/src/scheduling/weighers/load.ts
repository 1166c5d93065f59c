import type { Weigher } from '../weigher.ts';

/**
 * The most loaded of memory and vCPUs after the placement, in whole per cent of what the host may promise: fills the
 * emptiest host first. Whole per cents keep hosts that are practically equal tied, so that parallel decisions spread by
 * their seeds instead of all claiming the same host.
 */
export const load: Weigher = {
  name: 'load',
  prepare:
    ({ flavor }) =>
    (host) => {
      const ram = (host.usage.ramMib + flavor.ramMib) / (host.facts.ramMib * host.ratios.ramMib);
      const vcpus = (host.usage.vcpus + flavor.vcpus) / (host.facts.cores * host.ratios.vcpus);
      return Math.round(100 * (ram > vcpus ? ram : vcpus));
    },
  describe: (weight) => `${weight} % loaded afterwards`,
};
