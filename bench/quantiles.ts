/** Median, 95th percentile and range of some measurements, in their unit. */
export type Summary = { readonly n: number; readonly median: number; readonly p95: number; readonly least: number; readonly most: number };

/** Null when nothing was measured. The median of an even number is the mean of the middle two, which the lower of them would flatter; p95 is by the nearest rank. */
export function summarise(values: readonly number[]): Summary | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return {
    n: sorted.length,
    median: (rank(0.5) + (sorted[Math.floor(sorted.length / 2)] ?? Number.NaN)) / 2,
    p95: rank(0.95),
    least: rank(0),
    most: rank(1),
  };
}

const rounded = (value: number): string => (Math.abs(value) < 10 ? value.toFixed(1) : value.toFixed(0));

/** e.g. `42 (25–206, p95 190, n=20)` */
export const printed = (summary: Summary | null): string =>
  summary === null
    ? '–'
    : `${rounded(summary.median)} (${rounded(summary.least)}–${rounded(summary.most)}, p95 ${rounded(summary.p95)}, n=${summary.n})`;
