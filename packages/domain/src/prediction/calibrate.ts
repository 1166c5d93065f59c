/** `busy`: what the guest writes in a second is more than a quarter of what the link carries. */
export type MoveClass = 'calm' | 'busy';
export type PredictedFigure = 'duration' | 'blackout';

/** One outcome over what was predicted in the middle: 1 is exact. */
export type Residual = { readonly moveClass: MoveClass; readonly figure: PredictedFigure; readonly ratio: number };

export type Spread = { readonly lower: number; readonly upper: number };
export type Calibration = Readonly<Record<MoveClass, Readonly<Record<PredictedFigure, Spread>>>>;

/** Before anything was seen: factors around the middle. Durations vary less than blackouts, calm moves less than busy ones. */
const assumed: Calibration = {
  calm: { duration: { lower: 0.65, upper: 1.5 }, blackout: { lower: 0.5, upper: 2 } },
  busy: { duration: { lower: 0.5, upper: 2 }, blackout: { lower: 0.4, upper: 2.5 } },
};
/** From so many outcomes on they speak for themselves; from a few on they say at least where the middle is. */
const enough = 20;
const few = 4;
/** The share of outcomes that an interval is to hold; a little more than promised, since the future is not quite the past. */
const held = 0.93;

/** How far outcomes lay from what was predicted: the spread that would have held nine of ten of them. Few outcomes: what is assumed. */
export function calibrate(residuals: readonly Residual[]): Calibration {
  const of = (moveClass: MoveClass, figure: PredictedFigure): Spread => {
    const ratios = residuals
      .filter((one) => one.moveClass === moveClass && one.figure === figure && one.ratio > 0)
      .map(({ ratio }) => ratio)
      .toSorted((a, b) => a - b);
    const spread = assumed[moveClass][figure];
    if (ratios.length < few) return spread;
    const middle = (quantile(ratios, 0.49) + quantile(ratios, 0.51)) / 2;
    if (ratios.length < enough) return { lower: spread.lower * middle, upper: spread.upper * middle };
    return { lower: quantile(ratios, (1 - held) / 2), upper: quantile(ratios, (1 + held) / 2) };
  };
  return {
    calm: { duration: of('calm', 'duration'), blackout: of('calm', 'blackout') },
    busy: { duration: of('busy', 'duration'), blackout: of('busy', 'blackout') },
  };
}

export const spreadOf = (calibration: Calibration, moveClass: MoveClass, figure: PredictedFigure): Spread => calibration[moveClass][figure];

/** As split-conformal prediction takes it: rounded away from the middle, so that few outcomes give a wider interval, not a narrower one. */
function quantile(sorted: readonly number[], share: number): number {
  const rank = share < 0.5 ? Math.floor(share * (sorted.length + 1)) - 1 : Math.ceil(share * (sorted.length + 1)) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? 1;
}
