import { describe, expect, it } from 'vitest';
import { maxRamOf, maxVcpusOf, ramOf, unkeptRequirement, vcpusOf } from './flavor-requirements.ts';

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
    [{ 'godwit:max_vcpus': 'many' }, 'a whole number from 1 to'],
    [{ 'godwit:max_vcpus': '999' }, 'a whole number from 1 to'],
    [{ 'godwit:max_ram_mib': '8G' }, 'a whole number of MiB from 1 to'],
    [{ 'godwit:max_ram_mib': '99999999' }, 'a whole number of MiB from 1 to'],
  ])('%o is named with its reason', (specs, reason) => {
    expect(unkeptRequirement(specs as unknown as Readonly<Record<string, string>>)).toContain(reason);
  });

  it.each([
    [{}],
    [{ 'capabilities:hypervisor_type': 'ironic', 'resources:CUSTOM_METAL': '1' }],
    [{ 'hw:cpu_policy': 'shared', 'hw:mem_page_size': 'small', 'hw:numa_nodes': '1', 'godwit:storage': 'local', 'godwit:max_vcpus': '4' }],
  ])('%o asks for nothing that is not kept', (specs) => {
    expect(unkeptRequirement(specs as unknown as Readonly<Record<string, string>>)).toBeNull();
  });
});

it.each([
  [{ 'godwit:max_vcpus': '4' }, 4],
  [{}, null],
  [{ 'godwit:max_vcpus': '2' }, null],
  [{ 'godwit:max_vcpus': '1' }, null],
  [{ 'godwit:max_vcpus': '4', 'capabilities:hypervisor_type': 'ironic' }, null],
])('a flavor of 2 vCPUs with %o lets its servers have at most %s', (specs, most) => {
  expect(maxVcpusOf({ vcpus: 2, extra_specs: specs as unknown as Readonly<Record<string, string>> })).toBe(most);
});

it('a server has the vCPUs of its flavor until it is scaled', () => {
  expect([vcpusOf({ vcpus: 2 }), vcpusOf({ vcpus: 2, scaled_vcpus: 3 })]).toEqual([2, 3]);
});

it.each([
  [{ 'godwit:max_ram_mib': '4096' }, 4096],
  [{}, null],
  [{ 'godwit:max_ram_mib': '512' }, null],
  [{ 'godwit:max_ram_mib': '4096', 'capabilities:hypervisor_type': 'ironic' }, null],
])('a flavor of 512 MiB with %o lets its servers have at most %s', (specs, most) => {
  expect(maxRamOf({ ram_mib: 512, extra_specs: specs as unknown as Readonly<Record<string, string>> })).toBe(most);
});

it('a server has the memory of its flavor until it is scaled', () => {
  expect([ramOf({ ram_mib: 512 }), ramOf({ ram_mib: 512, scaled_ram_mib: 768 })]).toEqual([512, 768]);
});
