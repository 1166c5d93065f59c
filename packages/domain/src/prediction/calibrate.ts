/**
 * `busy`: what the guest writes in a second is more than a quarter of what the link carries. `capped`: it is not, and a cap holds the copy well below what the link carries, so that its speed is
 * known beforehand.
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
/** Older outcomes tell of another day's links and load: each counts this much of the one after it, and no more than so many count. */
const fading = 0.96;
const newest = 40;
/** Nine of ten of a normal distribution lie within so many standard deviations. */
const ninety = 1.645;

/**
 * How far outcomes lay from what the model said, and so how far the next ones will. Newest first. Factors are taken as log-normal: their extremes among a few dozen are too much a matter of
 * chance to be used themselves.
 */
export function calibrate(residuals: readonly Residual[]): Calibration {
  const of = (moveClass: MoveClass, figure: PredictedFigure): Spread => {
    const logs = residuals
      .filter((one) => one.moveClass === moveClass && one.figure === figure && one.ratio > 0)
      .slice(0, newest)
      .map(({ ratio }) => Math.log(ratio));
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

export const spreadOf = (calibration: Calibration, moveClass: MoveClass, figure: PredictedFigure): Spread => calibration[moveClass][figure];
