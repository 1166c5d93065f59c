import { type Filter, oncePer, text } from '../filter.ts';

/** The host's CPU (as QEMU expands it) has every feature that the running guest has been shown. */
export const cpuFeatures: Filter = {
  name: 'cpu-features',
  prepare: (demand) => {
    const needed = demand.cpuFeatures;
    if (needed === null || needed.length === 0) return null;
    return oncePer(
      (facts) => facts.cpuFeatures,
      (features, facts) => {
        const has = new Set(features);
        const missing = needed.filter((feature) => !has.has(feature));
        return missing.length === 0 ? null : { filter: 'cpu-features', code: 'CpuFeatures', data: { missing, cpuModel: facts.cpuModel } };
      },
    );
  },
  describe: (rejection) => ({
    sentence: `CPU ${text(rejection, 'cpuModel')} lacks ${text(rejection, 'missing')}, which the guest has been shown`,
    smallestChange: 'restart the server with a CPU model that both hosts have, or migrate it cold',
  }),
};
