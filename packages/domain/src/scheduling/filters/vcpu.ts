import { amount, type Filter } from '../filter.ts';

/** Free vCPUs, over-commit ratio applied, hold the flavor's; and one server never has more vCPUs than the host has cores. */
export const vcpu: Filter = {
  name: 'vcpu',
  prepare: (demand) => {
    const needed = demand.flavor.vcpus;
    return (host) => {
      const { cores } = host.facts;
      if (needed > cores) return { filter: 'vcpu', code: 'TooManyVcpus', data: { needed, cores } };
      const free = Math.floor(cores * host.ratios.vcpus) - host.usage.vcpus;
      return free >= needed
        ? null
        : { filter: 'vcpu', code: 'InsufficientVcpus', data: { needed, free: Math.max(0, free), missing: needed - free } };
    };
  },
  describe: (rejection) =>
    rejection.code === 'TooManyVcpus'
      ? {
          sentence: `needs ${amount(rejection, 'needed')} vCPUs, the host has ${amount(rejection, 'cores')} cores`,
          smallestChange: 'use a smaller flavor',
        }
      : {
          sentence: `needs ${amount(rejection, 'needed')} vCPUs, ${amount(rejection, 'free')} free`,
          smallestChange: `free ${amount(rejection, 'missing')} vCPUs here`,
        },
};
