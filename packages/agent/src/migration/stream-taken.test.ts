import { oneStreamBesideDisks } from '@godwit/domain/memory-stream';
import { expect, test } from 'vitest';
import { streamTaken } from './stream-taken.ts';

type Host = Parameters<typeof streamTaken>[0];
const host = (version: string) => ({ defaults: { accelerator: 'tcg' }, capabilities: { version } }) as Host;
const policy = (changes: Partial<Parameters<typeof streamTaken>[1]> = {}) => ({
  memoryStream: 'zstd' as const,
  blockMigration: false,
  localDiskIds: [],
  ...changes,
});

test('a destination takes what is asked of it, one stream from whoever asks for nothing', () => {
  for (const memoryStream of ['single', 'multifd', 'zstd'] as const)
    expect(streamTaken(host('10.0.2'), policy({ memoryStream }))).toEqual({ used: memoryStream, why: '' });
  expect(streamTaken(host('10.0.2'), { blockMigration: false, localDiskIds: [] })).toEqual({ used: 'single', why: '' });
});

test('beside disks that are copied memory goes in one stream, whatever was asked for', () => {
  expect(streamTaken(host('10.0.2'), policy({ blockMigration: true, localDiskIds: ['d'] }))).toEqual({
    used: 'single',
    why: oneStreamBesideDisks,
  });
  expect(streamTaken(host('10.0.2'), policy({ blockMigration: true })).used).toBe('zstd');
});

test('a QEMU that the table of forbidden combinations names takes one stream, and says which row', () => {
  const taken = streamTaken(host('7.2.22'), policy({ memoryStream: 'multifd' }));
  expect(taken.used).toBe('single');
  expect(taken.why).toContain('7.2');
});
