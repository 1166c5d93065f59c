import { expect, it } from 'vitest';
import { commonCpuModel } from './preference.ts';

it('is the richest model that runs on every host; nothing is said about a host that does not tell', () => {
  const genoa = ['qemu64-v1', 'Nehalem-v1', 'EPYC-v4', 'EPYC-Rome-v2', 'EPYC-Genoa-v1'];
  const rome = ['qemu64-v1', 'Nehalem-v1', 'EPYC-v4', 'EPYC-Rome-v2'];
  const skylake = ['qemu64-v1', 'Nehalem-v1', 'Haswell-v4', 'Skylake-Server-v5'];
  expect(commonCpuModel([genoa, genoa])).toBe('EPYC-Genoa-v1');
  expect(commonCpuModel([genoa, rome])).toBe('EPYC-Rome-v2');
  expect(commonCpuModel([genoa, rome, skylake])).toBe('Nehalem-v1');
  expect(commonCpuModel([genoa, null])).toBeNull();
  expect(commonCpuModel([['pentium'], genoa])).toBeNull();
  expect(commonCpuModel([])).toBeNull();
});
