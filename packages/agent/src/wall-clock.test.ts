import { expect, test } from 'vitest';
import { WallClock } from './wall-clock.ts';

test('it agrees with the wall clock to less than its tick, and carries its skew into both readings', () => {
  const clock = new WallClock();
  for (let turn = 0; turn < 200; turn += 1) {
    const before = Date.now();
    const now = clock.nowMs();
    const after = Date.now();
    // Date.now() is the wall clock rounded down to its millisecond.
    expect(now).toBeGreaterThan(before - 1);
    expect(now).toBeLessThan(after + 2);
  }
  const skewed = new WallClock(500);
  expect(skewed.nowMs() - clock.nowMs()).toBeCloseTo(500, -1);
  expect(skewed.ofStamp(1_000)).toBe(1_500);
});
