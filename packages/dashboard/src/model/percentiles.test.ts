import fc from 'fast-check';
import { expect, it } from 'vitest';
import { percentile } from './percentiles.ts';

it('takes the nearest rank', () => {
  const values = [15, 20, 35, 40, 50];
  expect([0.05, 0.3, 0.4, 0.5, 1].map((share) => percentile(values, share))).toEqual([15, 20, 20, 35, 50]);
  expect(percentile([], 0.5)).toBeNull();
});

it('has at least that share at or below it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 }),
      fc.double({ noNaN: true, min: 0, max: 1 }),
      (values, share) => {
        const found = percentile(values, share) ?? Number.NaN;
        expect(values.filter((value) => value <= found).length / values.length).toBeGreaterThanOrEqual(share);
      },
    ),
  );
});
