/**
 * `capped`: a cap holds the copy well below what the link carries, so that its speed is known beforehand. `busy`: no cap does, and what the guest writes in a second is more than a quarter of what
 * the link carries.
 */
export type MoveClass = 'calm' | 'capped' | 'busy';
export type PredictedFigure = 'duration' | 'blackout';

/** One outcome over what the model said: 1 is exact. */
export type Residual = { readonly moveClass: MoveClass; readonly figure: PredictedFigure; readonly ratio: number };

/** What nine of ten outcomes lie between, and the middle of them, as factors of what the model says. */
export type Spread = { readonly lower: number; readonly middle: number; readonly upper: number };
export type Calibration = Readonly<Record<MoveClass, Readonly<Record<PredictedFigure, Spread>>>>;

/** Before anything was seen: how far such figures are off, as the standard deviation of their logarithm. Durations vary less than blackouts, capped moves less than calm ones and those less than busy ones. */
const assumed: Readonly<Record<MoveClass, Readonly<Record<PredictedFigure, number>>>> = {
  calm: { duration: 0.25, blackout: 0.4 },
  capped: { duration: 0.15, blackout: 0.4 },
  busy: { duration: 0.4, blackout: 0.55 },
};
/** What is assumed weighs as much as so many outcomes. */
const assumedWeight = 3;
/** Older outcomes tell of another day's links and load: each counts this much of the one after it, and no more than so many count. Durations follow the load of the hour; blackouts need more to be told. */
const memory: Readonly<Record<PredictedFigure, { readonly fading: number; readonly newest: number }>> = {
  duration: { fading: 0.9, newest: 25 },
  blackout: { fading: 0.96, newest: 40 },
};
/** A duration further off than so many times the usual distance counts as that far: one move beside a busy moment says little of the next ten. The interval need not hold it: one of ten lies outside. */
const furthest = 2.5;
const leastDistance = 0.05;
const fewest = 5;
/** Nine of ten of a normal distribution lie within so many standard deviations. */
const ninety = 1.645;

/**
 * How far outcomes lay from what the model said, and so how far the next ones will. Newest first. Factors are taken as log-normal: their extremes among a few dozen are too much a matter of
 * chance to be used themselves.
 */
export function calibrate(residuals: readonly Residual[]): Calibration {
  const of = (moveClass: MoveClass, figure: PredictedFigure): Spread => {
    const { fading, newest } = memory[figure];
    // A stop is a stop, however the copy went: all moves tell of it.
    const known = residuals
      .filter((one) => one.figure === figure && one.ratio > 0 && (figure === 'blackout' || one.moveClass === moveClass))
      .slice(0, newest)
      .map(({ ratio }) => Math.log(ratio));
    const logs = figure === 'duration' ? withinReach(known) : known;
    const count = logs.reduce((sum, _log, age) => sum + fading ** age, 0);
    const mean = logs.reduce((sum, log, age) => sum + log * fading ** age, 0) / (count + assumedWeight);
    const squares = logs.reduce((sum, log, age) => sum + (log - mean) ** 2 * fading ** age, 0);
    const variance = (squares + assumedWeight * assumed[moveClass][figure] ** 2) / Math.max(1, count + assumedWeight - 1);
    // The mean itself is known the less, the fewer there are.
    const half = ninety * Math.sqrt(variance * (1 + 1 / (count + assumedWeight)));
    return { lower: Math.exp(mean - half), middle: Math.exp(mean), upper: Math.exp(mean + half) };
  };
  return {
    calm: { duration: of('calm', 'duration'), blackout: of('calm', 'blackout') },
    capped: { duration: of('capped', 'duration'), blackout: of('capped', 'blackout') },
    busy: { duration: of('busy', 'duration'), blackout: of('busy', 'blackout') },
  };
}

function withinReach(logs: readonly number[]): readonly number[] {
  if (logs.length < fewest) return logs;
  const middle = median(logs);
  const reach = furthest * Math.max(leastDistance, distanceOfOne * median(logs.map((log) => Math.abs(log - middle))));
  return logs.map((log) => Math.max(middle - reach, Math.min(middle + reach, log)));
}

/** Of a normal distribution: its standard deviation over the median distance from its middle. */
const distanceOfOne = 1.4826;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

export const spreadOf = (calibration: Calibration, moveClass: MoveClass, figure: PredictedFigure): Spread => calibration[moveClass][figure];
