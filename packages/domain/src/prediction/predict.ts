import { fixedBlackoutMs } from '../convergence/limits.ts';
import type { ConvergencePolicy } from '../convergence/policy.ts';
import { type PrecopyRun, runPrecopy } from '../convergence/precopy-model.ts';
import type { MemoryStream } from '../memory-stream.ts';
import { type Calibration, type MoveClass, type Spread, spreadOf } from './calibrate.ts';
import { type DirtyCurve, dirtiedIn } from './dirty-curve.ts';

/** Of a value: it lies between `lower` and `upper` in nine of ten cases. */
export type Interval = {
  readonly lower: number;
  readonly mid: number;
  readonly upper: number;
  /** What the model alone says, before experience moved it. */
  readonly modelled: number;
};

export type PredictionInputs = {
  /** What the first pass has to send: memory that the guest has ever touched. */
  readonly firstPassBytes: number;
  /** Null: nobody could measure it. */
  readonly dirty: DirtyCurve | null;
  /** That the move uses; absent: `single`. */
  readonly stream?: MemoryStream;
  /** What the link is expected to carry of memory, by the stream that the move uses; null: no such move has been seen on it. */
  readonly linkBytesPerSecond: number | null;
  /** The cap of the move and its links, bytes per second on the wire; 0: none. */
  readonly capBytesPerSecond: number;
  /** How much memory a byte on the wire is expected to carry; absent: 1, null: its memory is compressed, and nobody has seen how well. */
  readonly memoryPerWireByte?: number | null;
  /** Of a move besides its copy: from past ones; null: none seen. */
  readonly fixedMs: number | null;
};

export type Prediction = {
  readonly verdict: 'converges' | 'will-not-converge' | 'unknown';
  /** Why it will not converge, or why nothing can be said; empty when it converges. */
  readonly why: string;
  /** From the beginning of its preparation to its end. Null unless it converges. */
  readonly durationMs: Interval | null;
  readonly blackoutMs: Interval | null;
  /** Whether rounds are decided by what the guest writes: such moves are harder to tell. */
  readonly moveClass: MoveClass;
  readonly inputs: PredictionInputs;
};

/** Each is as fast as itself: what others have shown says nothing of it. */
const byStream = {
  single: 'in one stream',
  multifd: 'by multifd',
  zstd: 'by zstd',
} as const satisfies Readonly<Record<MemoryStream, string>>;
/** Of a move besides its copy, before any was seen. */
const assumedFixedMs = 500;
/** Link and guest are never quite what was measured: the corners that decide whether it converges. */
const corners = [
  [1, 1],
  [0.8, 1],
  [1.2, 1],
  [1, 0.75],
  [1, 1.3],
] as const;

/**
 * How a move will go, before it starts: the real policy run over a model of this guest and this link, and how far such predictions were off before. Pure: the same inputs give the same
 * answer.
 */
export function predict(inputs: PredictionInputs, policy: ConvergencePolicy, calibration: Calibration): Prediction {
  const { dirty, linkBytesPerSecond, memoryPerWireByte = 1 } = inputs;
  // What a cap lets through of memory.
  const capBytesPerSecond = inputs.capBytesPerSecond * (memoryPerWireByte ?? 1);
  const link = capBytesPerSecond > 0 ? Math.min(capBytesPerSecond, linkBytesPerSecond ?? capBytesPerSecond) : linkBytesPerSecond;
  const unknown = (why: string): Prediction => ({ verdict: 'unknown', why, durationMs: null, blackoutMs: null, moveClass: 'calm', inputs });
  if (memoryPerWireByte === null && capBytesPerSecond > 0)
    return unknown('No migration has shown yet how well memory compresses here, and the bandwidth is capped.');
  if (link === null)
    return unknown(`No migration ${byStream[inputs.stream ?? 'single']} has shown yet how fast the link between these hosts is.`);
  if (dirty === null) return unknown('How fast the guest changes its memory has not been measured.');
  const run = (speed: number, writes: number): PrecopyRun =>
    runPrecopy(
      {
        firstPassBytes: inputs.firstPassBytes,
        workingSetBytes: Math.min(dirty.workingSetBytes, inputs.firstPassBytes),
        dirtied: (fromMs, toMs) => dirtiedIn({ ...dirty, bytesPerSecond: dirty.bytesPerSecond * writes }, toMs - fromMs),
        bandwidthBytesPerSecond: () => link * speed,
        fixedMs: fixedBlackoutMs,
      },
      policy,
    );
  const runs = corners.map(([speed, writes]) => run(speed, writes));
  const failed = runs.filter(({ outcome }) => outcome === 'given-up');
  const heldBack = linkBytesPerSecond !== null && link < linkBytesPerSecond * 0.85;
  const moveClass: MoveClass = heldBack ? 'capped' : dirtiedIn(dirty, 1_000) > link * 0.25 ? 'busy' : 'calm';
  if (failed.length * 2 > runs.length)
    return { verdict: 'will-not-converge', why: failed[0]?.why ?? '', durationMs: null, blackoutMs: null, moveClass, inputs };
  const done = runs.filter(({ outcome }) => outcome !== 'given-up');
  const fixed = inputs.fixedMs ?? assumedFixedMs;
  const durations = done.map(({ durationMs }) => durationMs + fixed);
  const blackouts = done.map(({ blackoutMs }) => towardsUsual(blackoutMs ?? fixedBlackoutMs));
  return {
    verdict: 'converges',
    why: '',
    durationMs: interval(durations, spreadOf(calibration, moveClass, 'duration')),
    blackoutMs: interval(blackouts, spreadOf(calibration, moveClass, 'blackout')),
    moveClass,
    inputs,
  };
}

/**
 * A blackout as it is, from one as it is modelled: half as far from the usual one, in logarithm. The model writes at the rate of before the move and stops at the limit; guests write slower while they are copied, and less is left
 * when they stop (of 102 moves, the modelled excess told of the measured one by about that).
 */
const usualBlackoutMs = fixedBlackoutMs + 30;
const towardsUsual = (modelledMs: number): number => usualBlackoutMs * Math.sqrt(modelledMs / usualBlackoutMs);

/** The median of the corners, as far apart from reality as past ones were. */
function interval(values: readonly number[], spread: Spread): Interval {
  const sorted = values.toSorted((a, b) => a - b);
  const modelled = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return {
    lower: Math.round(modelled * spread.lower),
    mid: Math.round(modelled * spread.middle),
    upper: Math.round(modelled * spread.upper),
    modelled: Math.round(modelled),
  };
}
