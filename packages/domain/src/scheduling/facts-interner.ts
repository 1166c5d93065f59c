import type { HostFacts } from '../host.ts';

/**
 * Makes hosts share the parts of their facts that are equal (CPU features, machine types, bridges), so that `oncePer`
 * checks run once per distinct part and 10,000 hosts do not hold 10,000 feature lists. Parts are shared only between
 * hosts that also have the same CPU model, or QEMU version, since reasons name it beside the part.
 */
export function factsInterner(): (facts: HostFacts) => HostFacts {
  const known = new Map<string, readonly string[]>();
  const intern = (beside: string, part: readonly string[]): readonly string[] => {
    const key = [beside, ...part].join('\0');
    const same = known.get(key);
    if (same !== undefined) return same;
    known.set(key, part);
    return part;
  };
  return (facts) => ({
    ...facts,
    cpuFeatures: intern(`cpu ${facts.cpuModel}`, facts.cpuFeatures),
    ...(facts.cpuModels && { cpuModels: intern(`models ${facts.cpuModel}`, facts.cpuModels) }),
    machineTypes: intern(`qemu ${facts.qemuVersion}`, facts.machineTypes),
    bridges: intern('bridges', facts.bridges),
  });
}
