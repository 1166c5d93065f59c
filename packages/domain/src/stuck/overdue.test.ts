import { describe, expect, it } from 'vitest';
import { coldPhases, finalPhases, livePhases } from '../migration.ts';
import { overdue } from './overdue.ts';

describe('overdue', () => {
  it('calls a phase late at three times what is usual, and never before its least', () => {
    expect(overdue('copying', 119_000, { copying: 1_000 })).toBeNull();
    expect(overdue('copying', 121_000, { copying: 1_000 })).toMatchObject({ limitMs: 120_000, usualMs: 1_000 });
    expect(overdue('copying', 121_000, { copying: 100_000 })).toBeNull();
    expect(overdue('copying', 301_000, { copying: 100_000 })).toMatchObject({ limitMs: 300_000 });
    expect(overdue('copying', 1_000_000, { copying: 1_000 }, 600_000)).toBeNull();
    expect(overdue('copying', 1_900_000, { copying: 1_000 }, 600_000)).toMatchObject({ limitMs: 1_800_000 });
    expect(overdue('switchover', 11_000, {}, 600_000)).toMatchObject({ limitMs: 10_000 });
    expect(overdue('switchover', 11_000, {})).toMatchObject({ usualMs: null, limitMs: 10_000 });
  });

  it('never calls late what waits by design or has ended, and every other phase some day', () => {
    const never = ['queued', 'finished', 'confirmed', 'reverted', ...finalPhases];
    for (const phase of new Set([...livePhases, ...coldPhases]))
      expect(overdue(phase, 365 * 86_400_000, {}) === null).toBe(never.includes(phase));
  });
});
