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
