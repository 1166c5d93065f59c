import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printed, summarise } from './quantiles.ts';

describe('summarise', () => {
  it('keeps the order, flatters neither side, and takes extremes from what was measured', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: 1, max: 1e6 }), { minLength: 1 }), (values) => {
        const summary = summarise(values);
        expect(summary).not.toBeNull();
        for (const value of [summary?.p95, summary?.least, summary?.most]) expect(values).toContain(value);
        expect(summarise(values.map((value) => -value))?.median).toBe(-(summary?.median ?? Number.NaN));
        expect(summary?.least).toBeLessThanOrEqual(summary?.median ?? Number.NaN);
        expect(summary?.median).toBeLessThanOrEqual(summary?.p95 ?? Number.NaN);
        expect(summary?.p95).toBeLessThanOrEqual(summary?.most ?? Number.NaN);
      }),
    );
  });

  it('knows the median of a known list, and says when there is none', () => {
    expect(summarise([5, 1, 4, 2, 3])).toEqual({ n: 5, median: 3, p95: 5, least: 1, most: 5 });
    expect(printed(summarise([]))).toBe('–');
    expect(printed(summarise([12.34, 3]))).toBe('7.7 (3.0–12, p95 12, n=2)');
  });
});
