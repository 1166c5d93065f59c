import { expect, it } from 'vitest';
import { blockMigrateOf, blockMigrationValue } from './block-migrate.ts';

const disk = (storage: 'shared' | 'local', gib: number) => ({ storage, sizeBytes: gib * 2 ** 30 });

it('is preset on for local disks, with the size to copy, and can be changed', () => {
  const preset = blockMigrateOf([disk('shared', 5), disk('local', 2), disk('local', 1)]);
  expect(preset).toEqual({ checked: true, disabled: false, sentence: '2 local disks: up to 3 GiB to copy.' });
  expect([true, false].map((checked) => blockMigrationValue(preset, checked))).toEqual([true, false]);
});

it('is off and fixed for shared disks, and the API finds out', () => {
  const preset = blockMigrateOf([disk('shared', 5)]);
  expect([preset.checked, preset.disabled]).toEqual([false, true]);
  expect(preset.sentence).toContain('shared storage');
  expect(blockMigrationValue(preset, false)).toBe('auto');
});

it('claims nothing before the disks are known', () => {
  expect(blockMigrateOf(null)).toMatchObject({ checked: false, disabled: true });
});
