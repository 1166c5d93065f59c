import type { HypervisorType, StorageKind } from '../host.ts';

type ExtraSpecs = Readonly<Record<string, string>>;

/** `capabilities:hypervisor_type` of the flavor (Nova's extra spec): bare metal only where it says so. */
export function requiredHypervisorType(extraSpecs: ExtraSpecs): HypervisorType {
  const value = (extraSpecs['capabilities:hypervisor_type'] ?? 'QEMU').replace(/^s==\s*/, '');
  return value.toLowerCase() === 'ironic' ? 'ironic' : 'QEMU';
}

/** `godwit:storage` of the flavor: where the root disk is made, `shared` or `local`; anything else: any pool. */
export function requiredStorage(extraSpecs: ExtraSpecs): StorageKind | 'any' {
  const value = extraSpecs['godwit:storage'];
  return value === 'shared' || value === 'local' ? value : 'any';
}

/** What a flavor can ask of a host that is not given here, and why: a guest that was promised it would lose it at its first move, or never have it. Values that ask for nothing pass. */
const notKept: Readonly<Record<string, { readonly asksNothing: readonly string[]; readonly why: string }>> = {
  'hw:cpu_policy': { asksNothing: ['shared'], why: 'CPUs are not pinned: the pinning of one host means nothing on the next' },
  'hw:cpu_thread_policy': { asksNothing: ['prefer'], why: 'CPUs are not pinned' },
  'hw:cpu_realtime': { asksNothing: ['no', 'false'], why: 'CPUs are not pinned' },
  'hw:emulator_threads_policy': { asksNothing: ['share'], why: 'CPUs are not pinned' },
  'hw:mem_page_size': { asksNothing: ['small', 'any', '4', '4KB', '4KiB'], why: 'memory is not backed by huge pages' },
  'hw:numa_nodes': { asksNothing: ['1'], why: 'guests have one NUMA node' },
  'hw:locked_memory': { asksNothing: ['false'], why: 'memory is not locked' },
  'hw:mem_encryption': { asksNothing: ['false'], why: 'memory is not encrypted' },
  'pci_passthrough:alias': { asksNothing: [], why: 'devices of a host are not given to guests, which could not move' },
};

/** One sentence about the first extra spec that would not be kept; null: all that the flavor asks for is kept. */
export function unkeptRequirement(extraSpecs: ExtraSpecs): string | null {
  for (const [key, { asksNothing, why }] of Object.entries(notKept)) {
    const value = extraSpecs[key];
    if (value !== undefined && !asksNothing.some((one) => one.toLowerCase() === value.toLowerCase()))
      return `${key}=${value} would not be kept: ${why}.`;
  }
  return null;
}
