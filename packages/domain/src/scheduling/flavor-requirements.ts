import { largestRamMib } from '../guest-memory.ts';
import { guestLimits } from '../guest-spec.ts';
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

/** Flavor extra spec: how many vCPUs a server of the flavor can be given while it runs. */
export const maxVcpusSpec = 'godwit:max_vcpus';

/** The most vCPUs that a server with this flavor can be given while it runs; null: no more than the flavor's, and its machine has no places for any. */
export function maxVcpusOf(flavor: { readonly vcpus: number; readonly extra_specs: ExtraSpecs }): number | null {
  if (requiredHypervisorType(flavor.extra_specs) === 'ironic') return null;
  const most = wholeVcpus(flavor.extra_specs[maxVcpusSpec] ?? '');
  return most !== null && most > flavor.vcpus ? most : null;
}

/** How many vCPUs a server has: its flavor's, or what it was scaled to since. */
export const vcpusOf = (flavor: { readonly vcpus: number; readonly scaled_vcpus?: number }): number => flavor.scaled_vcpus ?? flavor.vcpus;

/** Flavor extra spec: how much memory a server of the flavor can be given while it runs, MiB. */
export const maxRamSpec = 'godwit:max_ram_mib';

/** The most memory that a server with this flavor can be given while it runs; null: no more than the flavor's, and its machine has no place for any. */
export function maxRamOf(flavor: { readonly ram_mib: number; readonly extra_specs: ExtraSpecs }): number | null {
  if (requiredHypervisorType(flavor.extra_specs) === 'ironic') return null;
  const most = wholeMib(flavor.extra_specs[maxRamSpec] ?? '');
  return most !== null && most > flavor.ram_mib ? most : null;
}

/** How much memory a server has: its flavor's, or what it was scaled to since. */
export const ramOf = (flavor: { readonly ram_mib: number; readonly scaled_ram_mib?: number }): number =>
  flavor.scaled_ram_mib ?? flavor.ram_mib;

const wholeMib = (value: string): number | null => (/^[1-9]\d{0,7}$/.test(value) && Number(value) <= largestRamMib ? Number(value) : null);

const wholeVcpus = (value: string): number | null =>
  /^[1-9]\d{0,2}$/.test(value) && Number(value) <= guestLimits.vcpus ? Number(value) : null;

/** What a flavor can ask of a host that is not given here, and why: a guest that was promised it would lose it at its first move, or never have it. Values that ask for nothing pass. */
const notKept: Readonly<Record<string, { readonly asksNothing: readonly string[]; readonly why: string }>> = {
  'hw:cpu_policy': { asksNothing: ['shared'], why: 'CPUs are not pinned: the pinning of one host means nothing on the next' },
  'hw:cpu_thread_policy': { asksNothing: ['prefer'], why: 'CPUs are not pinned' },
  'hw:cpu_realtime': { asksNothing: ['no', 'false'], why: 'CPUs are not pinned' },
  'hw:emulator_threads_policy': { asksNothing: ['share'], why: 'CPUs are not pinned' },
  'hw:mem_page_size': { asksNothing: ['small', 'any', '4', '4KB', '4KiB'], why: 'memory is not backed by huge pages' },
  'hw:numa_nodes': { asksNothing: ['1'], why: 'guests have one NUMA node' },
  'hw:cpu_dedicated_mask': { asksNothing: [], why: 'CPUs are not pinned' },
  'hw:cpu_realtime_mask': { asksNothing: [], why: 'CPUs are not pinned' },
  'hw:pci_numa_affinity_policy': { asksNothing: ['legacy'], why: 'guests have one NUMA node' },
  'hw:vif_multiqueue_enabled': { asksNothing: ['false'], why: 'network cards have one queue' },
  'hw:tpm_version': { asksNothing: [], why: 'guests have no TPM' },
  'hw:viommu_model': { asksNothing: [], why: 'guests have no IOMMU' },
  'hw:watchdog_action': { asksNothing: ['disabled'], why: 'guests have no watchdog' },
  'hw:boot_menu': { asksNothing: ['false'], why: 'guests have no boot menu' },
  'os:secure_boot': { asksNothing: ['disabled', 'optional'], why: 'guests boot without secure boot' },
  'hw:locked_memory': { asksNothing: ['false'], why: 'memory is not locked' },
  'hw:mem_encryption': { asksNothing: ['false'], why: 'memory is not encrypted' },
  'pci_passthrough:alias': { asksNothing: [], why: 'devices of a host are not given to guests, which could not move' },
};

/** Whole families of extra specs, by how their keys begin. */
const notKeptKinds: readonly { readonly begins: RegExp; readonly why: string }[] = [
  { begins: /^hw:numa_(cpus|mem)\./, why: 'guests have one NUMA node' },
  { begins: /^quota:/, why: 'guests are not held to shares or rates of processor, disk or network' },
  { begins: /^resources[\w]*:/, why: 'a server takes the vCPUs, RAM and disk of its flavor, and no other resource' },
  { begins: /^trait[\w]*:/, why: 'hosts have no traits: aggregates and their metadata choose among hosts' },
  { begins: /^accel:/, why: 'devices of a host are not given to guests, which could not move' },
];

/** One sentence about the first extra spec that would not be kept; null: all that the flavor asks for is kept. */
export function unkeptRequirement(extraSpecs: ExtraSpecs): string | null {
  const most = extraSpecs[maxVcpusSpec];
  if (most !== undefined && wholeVcpus(most) === null)
    return `${maxVcpusSpec}=${most} would not be kept: it is a whole number from 1 to ${guestLimits.vcpus}.`;
  const mostRam = extraSpecs[maxRamSpec];
  if (mostRam !== undefined && wholeMib(mostRam) === null)
    return `${maxRamSpec}=${mostRam} would not be kept: it is a whole number of MiB from 1 to ${largestRamMib}.`;
  for (const [key, { asksNothing, why }] of Object.entries(notKept)) {
    const value = extraSpecs[key];
    if (value !== undefined && !asksNothing.some((one) => one.toLowerCase() === value.toLowerCase()))
      return `${key}=${value} would not be kept: ${why}.`;
  }
  // A machine of its own is chosen by such keys, and is had whole.
  if (requiredHypervisorType(extraSpecs) === 'ironic') return null;
  for (const [key, value] of Object.entries(extraSpecs)) {
    const rule = notKeptKinds.find(({ begins }) => begins.test(key));
    if (rule !== undefined) return `${key}=${value} would not be kept: ${rule.why}.`;
  }
  return null;
}
