import { randomFrom } from './random-from.ts';

export type Interval = { readonly low: number; readonly high: number };

const resamples = 10_000;
const confidence = 0.95;
const fewest = 5;

const medianOf = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
};

/**
 * The 95 % percentile-bootstrap interval of median(ours) / median(theirs), the two resampled apart, and what was found itself. The same for the same numbers: its chance has a seed. Null
 * with fewer than five on either side: from less, resampling makes intervals that are too narrow.
 */
export function ratioOfMedians(
  ours: readonly number[],
  theirs: readonly number[],
): { readonly ratio: number; readonly interval: Interval } | null {
  if (Math.min(ours.length, theirs.length) < fewest) return null;
  const random = randomFrom(20_261);
  const drawn = (values: readonly number[]): readonly number[] =>
    values.map(() => values[Math.floor(random() * values.length)] ?? Number.NaN);
  const ratios = Array.from({ length: resamples }, () => medianOf(drawn(ours)) / medianOf(drawn(theirs))).toSorted((a, b) => a - b);
  const at = (share: number): number => ratios[Math.min(resamples - 1, Math.floor(share * resamples))] ?? Number.NaN;
  const tail = (1 - confidence) / 2;
  return { ratio: medianOf(ours) / medianOf(theirs), interval: { low: at(tail), high: at(1 - tail) } };
}

/** e.g. `0.58 (0.51–0.66)`. An interval that spans 1 tells nothing apart: then there is no ratio. */
export function printedRatio(found: ReturnType<typeof ratioOfMedians>): string {
  if (found === null) return '–';
  const { low, high } = found.interval;
  if (!(high < 1 || low > 1)) return 'not told apart';
  return `${found.ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}
