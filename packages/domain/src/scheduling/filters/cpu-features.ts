import { type Filter, oncePer, type RejectionData, text } from '../filter.ts';

/** A sentence names so many; the datum has all. */
const namedFeatures = 6;

function named(missing: RejectionData[string] | undefined): string {
  const all = Array.isArray(missing) ? missing : [];
  const rest = all.length - namedFeatures;
  return rest <= 1 ? all.join(', ') : `${all.slice(0, namedFeatures).join(', ')} and ${rest} more`;
}

/**
 * The host runs the named model that the guest has been given without a missing feature. A guest without one, or a host that does not say what it runs: its CPU (as QEMU expands it) has
 * every feature that the guest may have been shown. The destination's QEMU enforces the model once more before anything is copied.
 */
export const cpuFeatures: Filter = {
  name: 'cpu-features',
  prepare: (demand) => {
    const needed = demand.cpuFeatures;
    const model = demand.cpuModel ?? null;
    if (needed === null || needed.length === 0) return null;
    return oncePer(
      (facts) => (model === null ? facts.cpuFeatures : (facts.cpuModels ?? facts.cpuFeatures)),
      (part, facts) => {
        if (model !== null && part === facts.cpuModels)
          return part.includes(model)
            ? null
            : { filter: 'cpu-features', code: 'CpuFeatures', data: { missing: [`model ${model}`], cpuModel: facts.cpuModel } };
        const has = new Set(part);
        const missing = needed.filter((feature) => !has.has(feature));
        return missing.length === 0 ? null : { filter: 'cpu-features', code: 'CpuFeatures', data: { missing, cpuModel: facts.cpuModel } };
      },
    );
  },
  describe: (rejection) => ({
    sentence: `CPU ${text(rejection, 'cpuModel')} lacks ${named(rejection.data['missing'])}, which the guest has been shown`,
    smallestChange: 'restart the server with a CPU model that both hosts have, or migrate it cold',
  }),
};
