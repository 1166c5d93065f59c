import { describe, expect, it } from 'vitest';
import { unkeptRequirement } from './flavor-requirements.ts';

describe('what a flavor asks for and would not be kept', () => {
  it.each([
    [{ 'hw:cpu_policy': 'dedicated' }, 'hw:cpu_policy=dedicated would not be kept: CPUs are not pinned'],
    [{ 'hw:mem_page_size': 'large' }, 'huge pages'],
    [{ 'hw:mem_page_size': '1GB' }, 'huge pages'],
    [{ 'pci_passthrough:alias': 'gpu:1' }, 'could not move'],
    [{ 'hw:numa_nodes': '2' }, 'one NUMA node'],
    [{ 'hw:numa_cpus.0': '0,1' }, 'one NUMA node'],
    [{ 'hw:cpu_dedicated_mask': '0-1' }, 'not pinned'],
    [{ 'hw:tpm_version': '2.0' }, 'no TPM'],
    [{ 'quota:disk_read_iops_sec': '100' }, 'not held to shares or rates'],
    [{ 'resources:VGPU': '1' }, 'no other resource'],
    [{ 'trait:HW_CPU_X86_AVX2': 'required' }, 'hosts have no traits'],
  ])('%o is named with its reason', (specs, reason) => {
    expect(unkeptRequirement(specs as unknown as Readonly<Record<string, string>>)).toContain(reason);
  });

  it.each([
    [{}],
    [{ 'capabilities:hypervisor_type': 'ironic', 'resources:CUSTOM_METAL': '1' }],
    [{ 'hw:cpu_policy': 'shared', 'hw:mem_page_size': 'small', 'hw:numa_nodes': '1', 'godwit:storage': 'local' }],
  ])('%o asks for nothing that is not kept', (specs) => {
    expect(unkeptRequirement(specs as unknown as Readonly<Record<string, string>>)).toBeNull();
  });
});
