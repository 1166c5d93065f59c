import { describe, expect, it } from 'vitest';
import { unkeptRequirement } from './flavor-requirements.ts';

describe('what a flavor asks for and would not be kept', () => {
  it.each([
    [{ 'hw:cpu_policy': 'dedicated' }, 'hw:cpu_policy=dedicated would not be kept: CPUs are not pinned'],
    [{ 'hw:mem_page_size': 'large' }, 'huge pages'],
    [{ 'hw:mem_page_size': '1GB' }, 'huge pages'],
    [{ 'pci_passthrough:alias': 'gpu:1' }, 'could not move'],
    [{ 'hw:numa_nodes': '2' }, 'one NUMA node'],
  ])('%o is named with its reason', (specs, reason) => {
    expect(unkeptRequirement(specs as unknown as Readonly<Record<string, string>>)).toContain(reason);
  });

  it.each([[{}], [{ 'hw:cpu_policy': 'shared', 'hw:mem_page_size': 'small', 'hw:numa_nodes': '1', 'godwit:storage': 'local' }]])(
    '%o asks for nothing that is not kept',
    (specs) => {
      expect(unkeptRequirement(specs as unknown as Readonly<Record<string, string>>)).toBeNull();
    },
  );
});
