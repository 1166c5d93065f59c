import { highestLimitMs, lowestLimitMs } from './limits.ts';
import type { ConvergencePolicy } from './policy.ts';
import type { ConvergenceAction, ConvergenceSample } from './sample.ts';
import { deadlineSentence, hopelessSentence, speedOf } from './sentences.ts';

/** Rounds, and time, without a better one before anything is done: bursts pass. */
const patience = { rounds: 5, ms: 1_000 } as const;
/** Without a better moment for so long (or that share of the deadline, if shorter), and so many rounds, and nothing left to try: it will not converge. */
const hopeless = { rounds: 6, ms: 20_000, shareOfDeadline: 0.25 } as const;
/** A moment counts as better when it is this much nearer to the end than the best before. */
const betterBy = 0.95;
/** Rounds that the best remaining is looked for in: an old best may never come again. */
const window = 8;
/** How far above the best moment the limit is set: the next one as good must meet it although it is never quite the same. */
const nearBest = 1.15;
const throttleStep = 30;
/** Rounds get shorter quickly when the guest writes at most this share of what the link carries. */
const sustainable = 0.6;
/** QEMU changes the throttle when a round ends, and looks at two periods of a second at least. */
const throttleSettlesMs = 3_000;
/** Post-copy only when what is left is sent within this: so long a dead link or destination is the end of the guest. */
const largestExposureMs = 10_000;
/** A stop that lasts longer than this many times what was expected (and at least 5 s) is given up: the guest runs on at the source. */
const holdPatience = { factor: 3, leastMs: 5_000 } as const;
/** Weight of the newest reading in the average of the bandwidth. */
const smoothing = 0.4;

/** What is known of a copy so far. Begin with `beginConvergence`. */
export type ConvergenceState = {
  readonly limitMs: number;
  readonly throttlePercent: number;
  /** Bytes on the wire. */
  readonly wireBytesPerSecond: number;
  /** What may be counted on for what is left, in bytes of memory. */
  readonly bandwidthBytesPerSecond: number;
  readonly round: number;
  /** The stop that each of the last rounds would have taken, ms; newest last. Empty after a throttle: what was before counts no more. */
  readonly recentMs: readonly number[];
  readonly best: { readonly neededMs: number; readonly atMs: number } | null;
  readonly stalledRounds: number;
  /** When something was last done. */
  readonly actedAtMs: number;
  readonly holdUntilMs: number | null;
  readonly forced: boolean;
  readonly ended: boolean;
};

export const beginConvergence = (policy: ConvergencePolicy): ConvergenceState => ({
  limitMs: lowestLimitMs(policy),
  throttlePercent: 0,
  wireBytesPerSecond: 0,
  bandwidthBytesPerSecond: 0,
  round: 0,
  recentMs: [],
  best: null,
  stalledRounds: 0,
  actedAtMs: 0,
  holdUntilMs: null,
  forced: false,
  ended: false,
});

/** The operator wants the end now: at the end of the first pass, or at once when that is over. Repeating it changes nothing. */
export const force = (state: ConvergenceState): ConvergenceState => ({ ...state, forced: true });

export type ConvergenceStep = { readonly state: ConvergenceState; readonly action: ConvergenceAction };

const wait = { kind: 'wait' } as const;

/**
 * One look → what is to be done about it. Acts at the end of a round, on the best remaining so far: QEMU's downtime limit is held low while rounds get better and raised to the
 * best moment seen when they do not; never above what the policy's largest blackout leaves. Beyond that: throttle, post-copy, pause, as far as allowed; or it says why not.
 * Between rounds it only watches the deadline. After `hold`, `post-copy` or `give-up` nothing more is asked, but that a hold which does not end is given up.
 */
export function converge(before: ConvergenceState, policy: ConvergencePolicy, sample: ConvergenceSample): ConvergenceStep {
  if (before.ended) return { state: before, action: wait };
  const state = seen(before, sample);
  if (state.holdUntilMs !== null) {
    return sample.atMs < state.holdUntilMs
      ? { state, action: wait }
      : giveUp(state, 'DeadlineExceeded', 'The guest was stopped to finish the copy, which took much longer than expected.');
  }
  const needed = neededMs(state, sample);
  const firstPassDone = sample.round >= 2;
  if (state.forced && firstPassDone && needed !== null) return hold(state, sample, needed, 'Completion was forced.');
  const pauses = policy.whenNotConverging === 'pause' && firstPassDone && needed !== null;
  if (pauses && sample.atMs + needed * 1.5 >= policy.deadlineMs && sample.atMs + needed < policy.deadlineMs)
    return hold(state, sample, needed, 'The deadline leaves just enough time to stop the guest and finish.');
  if (sample.atMs >= policy.deadlineMs) return giveUp(state, 'DeadlineExceeded', deadlineSentence(policy, state, sample));
  if (sample.round <= before.round || !firstPassDone || needed === null) return { state, action: wait };
  return atBoundary(noteRound(state, sample, needed), policy, sample, needed);
}

/** Between two rounds nothing is decided, but the link's speed is learnt: that of the wire, because how well memory compresses changes with what is sent. */
function seen(state: ConvergenceState, sample: ConvergenceSample): ConvergenceState {
  const { sent, left } = sample.memoryPerByte ?? { sent: 1, left: 1 };
  const now = sample.bandwidthBytesPerSecond / sent;
  const known = state.wireBytesPerSecond;
  const wireBytesPerSecond = now <= 0 ? known : known === 0 ? now : known + smoothing * (now - known);
  return {
    ...state,
    round: Math.max(state.round, sample.round),
    wireBytesPerSecond,
    bandwidthBytesPerSecond: wireBytesPerSecond * left,
  };
}

const neededMs = (state: ConvergenceState, { remainingBytes }: ConvergenceSample): number | null =>
  state.bandwidthBytesPerSecond > 0 ? (remainingBytes / state.bandwidthBytesPerSecond) * 1_000 : null;

function noteRound(state: ConvergenceState, { atMs }: ConvergenceSample, needed: number): ConvergenceState {
  const better = state.best === null || needed < state.best.neededMs * betterBy;
  return {
    ...state,
    recentMs: [...state.recentMs, needed].slice(-window),
    best: better ? { neededMs: needed, atMs } : state.best,
    stalledRounds: better ? 0 : state.stalledRounds + 1,
  };
}

function atBoundary(state: ConvergenceState, policy: ConvergencePolicy, sample: ConvergenceSample, needed: number): ConvergenceStep {
  const { atMs } = sample;
  const since = atMs - Math.max(state.best?.atMs ?? 0, state.actedAtMs);
  if (state.stalledRounds < patience.rounds || since < patience.ms) return { state, action: wait };
  const lowest = Math.min(...state.recentMs);
  const highest = highestLimitMs(policy);
  if (lowest <= highest) {
    const limitMs = Math.min(highest, Math.max(state.limitMs, Math.ceil(lowest * nearBest)));
    // The limit has covered the best moment for a whole window and QEMU did not stop: it sees a slower link than we do.
    const raised = limitMs > state.limitMs ? limitMs : Math.min(highest, state.limitMs * 2);
    if (raised > state.limitMs) {
      return {
        state: { ...state, limitMs: raised, stalledRounds: 0, actedAtMs: atMs },
        action: {
          kind: 'set-downtime-limit',
          limitMs: raised,
          why: `Rounds get no shorter: the best of the last ${state.recentMs.length} would have stopped the guest for ${Math.round(lowest)} ms.`,
        },
      };
    }
    return { state, action: wait };
  }
  if (state.throttlePercent < policy.slowDownPercent) {
    if (state.throttlePercent > 0 && atMs - state.actedAtMs < throttleSettlesMs) return { state, action: wait };
    const percent = Math.min(policy.slowDownPercent, Math.max(state.throttlePercent + throttleStep, sufficientPercent(state, sample)));
    return {
      state: { ...state, throttlePercent: percent, recentMs: [], best: null, stalledRounds: 0, actedAtMs: atMs },
      action: { kind: 'throttle', percent, why: `A stop would take ${Math.round(lowest)} ms, more than the policy allows.` },
    };
  }
  if (policy.postCopyAllowed && needed <= largestExposureMs)
    return {
      state: { ...state, ended: true },
      action: { kind: 'post-copy', why: `The rest is sent within ${Math.round(needed)} ms while the guest runs at the destination.` },
    };
  // From here on there is nothing left but to wait for a calmer moment, and to end.
  const patienceMs = Math.min(hopeless.ms, policy.deadlineMs * hopeless.shareOfDeadline);
  if (since < patienceMs || state.stalledRounds < hopeless.rounds) return { state, action: wait };
  if (policy.whenNotConverging === 'pause' && atMs + needed < policy.deadlineMs)
    return needed <= lowest * nearBest
      ? hold(state, sample, needed, hopelessSentence(policy, state, sample, lowest))
      : { state, action: wait };
  return giveUp(state, 'WillNotConverge', hopelessSentence(policy, state, sample, lowest));
}

/** The throttle under which the guest writes well below what the link carries, going by what it writes now; 0 when that is not known. */
function sufficientPercent(state: ConvergenceState, { dirtyBytesPerSecond }: ConvergenceSample): number {
  if (dirtyBytesPerSecond <= 0) return 0;
  const unthrottled = dirtyBytesPerSecond / (1 - state.throttlePercent / 100);
  return Math.ceil((1 - (sustainable * state.bandwidthBytesPerSecond) / unthrottled) * 10) * 10;
}

function hold(state: ConvergenceState, sample: ConvergenceSample, needed: number, why: string): ConvergenceStep {
  return {
    state: { ...state, holdUntilMs: sample.atMs + Math.max(holdPatience.leastMs, needed * holdPatience.factor) },
    action: {
      kind: 'hold',
      expectedMs: Math.ceil(needed),
      why: `${why} About ${Math.ceil(needed)} ms at ${speedOf(state, sample)}.`,
    },
  };
}

const giveUp = (state: ConvergenceState, cause: 'WillNotConverge' | 'DeadlineExceeded', why: string): ConvergenceStep => ({
  state: { ...state, ended: true },
  action: { kind: 'give-up', cause, why },
});
