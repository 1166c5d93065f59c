import { expect, test } from 'vitest';
import type { RamProgress } from '../drivers/migration-report.ts';
import { stopIsNear } from './switch-timing.ts';

const mebibyte = 1_048_576;
const ram = (facts: Partial<RamProgress>): RamProgress => ({
  totalBytes: 1024 * mebibyte,
  transferredBytes: 0,
  remainingBytes: 1024 * mebibyte,
  dirtyPagesRate: 0,
  dirtySyncCount: 1,
  pageSize: 4096,
  memoryBytes: 0,
  mbps: 0,
  ...facts,
});

test.each([
  ['nothing known yet', null, 100, false],
  ['first round, just begun', ram({ remainingBytes: 1000 * mebibyte, transferredBytes: 24 * mebibyte }), 100, false],
  [
    'first round, nearly done: zero pages count as done though they cost no bytes',
    ram({ remainingBytes: 20 * mebibyte, transferredBytes: 5 * mebibyte }),
    2_000,
    true,
  ],
  ['later round, much left for this link', ram({ dirtySyncCount: 3, remainingBytes: 200 * mebibyte, mbps: 1_000 }), 10_000, false],
  ['later round, little left', ram({ dirtySyncCount: 3, remainingBytes: 20 * mebibyte, mbps: 1_000 }), 10_000, true],
  ['later round, speed unknown: rather too early than too late', ram({ dirtySyncCount: 2, remainingBytes: 20 * mebibyte }), 0, true],
] as const)('%s', (_name, progress, elapsedMs, near) => expect(stopIsNear(progress, elapsedMs)).toBe(near));
