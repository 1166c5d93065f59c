/**
 * General-purpose CPU models, the richest first: versioned, so that a name means the same on every host. `-noTSX` variants where there are such, since TSX is off on every patched host.
 * The last ones run everywhere.
 */
export const cpuModelPreference = [
  'SapphireRapids-v1',
  'EPYC-Genoa-v1',
  'Icelake-Server-v5',
  'EPYC-Milan-v1',
  'Cascadelake-Server-v5',
  'EPYC-Rome-v2',
  'Skylake-Server-v5',
  'EPYC-v4',
  'Skylake-Client-v4',
  'Broadwell-v4',
  'Haswell-v4',
  'IvyBridge-v2',
  'SandyBridge-v2',
  'Westmere-v2',
  'Opteron_G5-v1',
  'Nehalem-v1',
  'kvm64-v1',
  'qemu64-v1',
] as const;

/**
 * The richest model that every one of these hosts runs without a missing feature, so that a guest with it can move to each of them. Null: a host did not say what it runs, or there is
 * none that all do; then each host's own default is what is left.
 */
export function commonCpuModel(hosts: readonly (readonly string[] | null)[]): string | null {
  if (hosts.length === 0 || hosts.some((models) => models === null)) return null;
  const sets = hosts.map((models) => new Set(models));
  return cpuModelPreference.find((model) => sets.every((runs) => runs.has(model))) ?? null;
}
