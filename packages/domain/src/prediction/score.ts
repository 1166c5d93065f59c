import type { Residual } from './calibrate.ts';
import type { Prediction } from './predict.ts';

export type MoveOutcome = {
  readonly completed: boolean;
  /** It was given up because it did not converge, or not by its deadline. */
  readonly didNotConverge: boolean;
  readonly durationMs: number;
  readonly blackoutMs: number | null;
  /** Somebody changed its course: it was forced to complete, or its bandwidth was changed. */
  readonly interfered: boolean;
};

/** What became of one prediction; null where it says nothing about it. */
export type PredictionScore = {
  readonly verdict: Prediction['verdict'];
  readonly converged: boolean | null;
  readonly durationInside: boolean | null;
  readonly blackoutInside: boolean | null;
  /** Upper over lower end of the interval. */
  readonly durationWidth: number | null;
  readonly blackoutWidth: number | null;
  readonly residuals: readonly Residual[];
};

/** Compares a prediction with what happened. Null: the move ended for another reason (cancelled, a host died), or somebody interfered: nothing is learnt. */
export function scorePrediction(prediction: Prediction, outcome: MoveOutcome): PredictionScore | null {
  if (outcome.interfered || (!outcome.completed && !outcome.didNotConverge)) return null;
  const { durationMs, blackoutMs, moveClass, verdict } = prediction;
  const inside = (interval: Prediction['durationMs'], value: number | null): boolean | null =>
    interval === null || value === null || !outcome.completed ? null : value >= interval.lower && value <= interval.upper;
  const width = (interval: Prediction['durationMs']): number | null =>
    interval === null || interval.lower <= 0 ? null : interval.upper / interval.lower;
  const residuals: Residual[] = [];
  if (outcome.completed && durationMs !== null && durationMs.modelled > 0)
    residuals.push({ moveClass, figure: 'duration', ratio: outcome.durationMs / durationMs.modelled });
  if (outcome.completed && blackoutMs !== null && blackoutMs.modelled > 0 && outcome.blackoutMs !== null)
    residuals.push({ moveClass, figure: 'blackout', ratio: outcome.blackoutMs / blackoutMs.modelled });
  return {
    verdict,
    converged: outcome.completed,
    durationInside: inside(durationMs, outcome.durationMs),
    blackoutInside: inside(blackoutMs, outcome.blackoutMs),
    durationWidth: width(durationMs),
    blackoutWidth: width(blackoutMs),
    residuals,
  };
}

export type ScoreSummary = {
  readonly moves: number;
  readonly duration: { readonly scored: number; readonly coverage: number | null; readonly medianWidth: number | null };
  readonly blackout: { readonly scored: number; readonly coverage: number | null; readonly medianWidth: number | null };
  /** Of "will not converge": how often it was true, and how many of those that did not were told before. */
  readonly willNotConverge: {
    readonly told: number;
    readonly happened: number;
    readonly right: number;
    readonly precision: number | null;
    readonly recall: number | null;
  };
};

/** All scores in one: what is published. Null where there is nothing to divide by. */
export function summarizeScores(scores: readonly PredictionScore[]): ScoreSummary {
  const figure = (inside: (score: PredictionScore) => boolean | null, width: (score: PredictionScore) => number | null) => {
    const judged = scores.filter((score) => inside(score) !== null);
    return {
      scored: judged.length,
      coverage: ratio(judged.filter((score) => inside(score) === true).length, judged.length),
      medianWidth: median(judged.map(width).filter((one) => one !== null)),
    };
  };
  const judged = scores.filter(({ verdict, converged }) => verdict !== 'unknown' && converged !== null);
  const told = judged.filter(({ verdict }) => verdict === 'will-not-converge');
  const happened = judged.filter(({ converged }) => converged === false);
  const right = told.filter(({ converged }) => converged === false).length;
  return {
    moves: scores.length,
    duration: figure(
      ({ durationInside }) => durationInside,
      ({ durationWidth }) => durationWidth,
    ),
    blackout: figure(
      ({ blackoutInside }) => blackoutInside,
      ({ blackoutWidth }) => blackoutWidth,
    ),
    willNotConverge: {
      told: told.length,
      happened: happened.length,
      right,
      precision: ratio(right, told.length),
      recall: ratio(right, happened.length),
    },
  };
}

const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2 : (sorted[Math.floor(middle)] ?? null);
}
