import { describe, expect, it } from 'vitest';
import { printedRatio, ratioOfMedians } from './bootstrap.ts';

const around = (centre: number): readonly number[] => [-4, -3, -2, -1, 0, 1, 2, 3, 4].map((step) => centre + step);

describe('ratioOfMedians', () => {
  it('finds a ratio that is there, within an interval around it, the same each time', () => {
    const found = ratioOfMedians(around(50), around(100));
    expect(found?.ratio).toBe(0.5);
    expect(found?.interval.low).toBeLessThan(0.5);
    expect(found?.interval.low).toBeGreaterThan(0.4);
    expect(found?.interval.high).toBeGreaterThan(0.5);
    expect(found?.interval.high).toBeLessThan(0.6);
    expect(ratioOfMedians(around(50), around(100))).toEqual(found);
    expect(printedRatio(found)).toMatch(/^0\.50 \(0\.\d\d–0\.\d\d\)$/);
  });

  it('quotes no ratio that chance may have made, and none of too little', () => {
    expect(printedRatio(ratioOfMedians(around(99), around(100)))).toBe('not told apart');
    expect(printedRatio(ratioOfMedians([1, 2, 3, 4], around(100)))).toBe('–');
  });
});
