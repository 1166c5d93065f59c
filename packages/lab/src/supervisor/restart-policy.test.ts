import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countQuickDeaths, provenAfterMs, restartDelayMs } from './restart-policy.ts';

test('the first death restarts at once, also after a long life that followed many short ones', () => {
  expect(restartDelayMs(countQuickDeaths(0, 5))).toBe(0);
  expect(restartDelayMs(countQuickDeaths(40, provenAfterMs))).toBe(0);
});

test('quick deaths in a row wait longer and longer, but never more than two seconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), (deaths) => {
      expect(restartDelayMs(deaths + 1)).toBeGreaterThanOrEqual(restartDelayMs(deaths));
      expect(restartDelayMs(deaths)).toBeLessThanOrEqual(2000);
    }),
  );
  expect(restartDelayMs(2)).toBe(100);
  expect(restartDelayMs(1000)).toBe(2000);
});
