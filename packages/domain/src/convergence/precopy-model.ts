import { beginConvergence, type ConvergenceState, converge, force } from './converge.ts';
import { fixedBlackoutMs } from './limits.ts';
import type { ConvergencePolicy } from './policy.ts';
import type { ConvergenceAction, ConvergenceSample } from './sample.ts';

/** A guest and a link, as far as a copy cares. */
export type PrecopyWorld = {
  /** What the first pass sends. */
  readonly firstPassBytes: number;
  /** Different memory that the guest writes in a while, at full speed. */
  readonly dirtied: (fromMs: number, toMs: number) => number;
  /** The most that it can ever have dirtied: the size of what it writes to. */
  readonly workingSetBytes: number;
  readonly bandwidthBytesPerSecond: (atMs: number) => number;
  /** What share of its speed the link still has when the guest has been stopped; default 1. */
  readonly stopShare?: number;
  /** Of the stop besides sending; default: what is measured on idle guests. */
  readonly fixedMs?: number;
};

export type PrecopyRun = {
  readonly outcome: 'completed' | 'post-copy' | 'given-up';
  readonly why: string;
  /** Why it was given up; null unless it was. */
  readonly cause: 'WillNotConverge' | 'DeadlineExceeded' | null;
  readonly held: boolean;
  readonly durationMs: number;
  /** Null when it did not stop. */
  readonly blackoutMs: number | null;
  readonly rounds: number;
  readonly throttlePercent: number;
  readonly actions: readonly { readonly atMs: number; readonly action: ConvergenceAction }[];
};

/** QEMU's counters are looked at this often, and at the end of each round. */
const lookEveryMs = 250;
const holdLimitMs = 2_000_000;

/**
 * QEMU's pre-copy with the real policy at its wheel. QEMU's rule: what is left is sent until the estimate is below limit × bandwidth; then what was dirtied is counted, which ends
 * the round; is that below, too, it stops. Ends for every world: by the policy's deadline, or the end of a hold.
 */
export function runPrecopy(world: PrecopyWorld, policy: ConvergencePolicy, forceAtMs = Infinity): PrecopyRun {
  const fixedMs = world.fixedMs ?? fixedBlackoutMs;
  const actions: { atMs: number; action: ConvergenceAction }[] = [];
  let state: ConvergenceState = beginConvergence(policy);
  let limitMs = state.limitMs;
  let throttlePercent = 0;
  let held = false;
  let now = 0;
  let round = 1;
  let roundBeganAt = 0;
  let left = world.firstPassBytes;
  let transferred = 0;
  const ended = (
    outcome: PrecopyRun['outcome'],
    why: string,
    durationMs: number,
    blackoutMs: number | null,
    cause: PrecopyRun['cause'] = null,
  ): PrecopyRun => ({
    outcome,
    why,
    cause,
    held,
    durationMs,
    blackoutMs,
    rounds: round,
    throttlePercent,
    actions,
  });
  for (;;) {
    const bandwidth = world.bandwidthBytesPerSecond(now);
    const threshold = (limitMs / 1000) * bandwidth;
    const roundEnds = left <= threshold;
    if (roundEnds) {
      const share = 1 - throttlePercent / 100;
      const dirtied = Math.min(world.workingSetBytes, world.dirtied(roundBeganAt, roundBeganAt + (now - roundBeganAt) * share));
      // What is left of a later round lies in what the guest writes to, and is partly written again: it is sent once.
      const again = round === 1 || world.workingSetBytes === 0 ? 0 : Math.min(1, left / world.workingSetBytes);
      left = Math.min(world.firstPassBytes, left + dirtied * (1 - again));
      round += 1;
      roundBeganAt = now;
      if (left <= threshold) {
        const blackoutMs = fixedMs + (left / (bandwidth * (world.stopShare ?? 1))) * 1000;
        return ended('completed', 'QEMU stopped the guest within its limit.', now + blackoutMs, blackoutMs);
      }
    }
    if (now >= forceAtMs) state = force(state);
    const sample: ConvergenceSample = {
      atMs: now,
      round,
      transferredBytes: transferred,
      remainingBytes: left,
      bandwidthBytesPerSecond: now === 0 ? 0 : bandwidth,
      dirtyBytesPerSecond: 0,
    };
    const step = converge(state, policy, sample);
    state = step.state;
    const { action } = step;
    if (action.kind !== 'wait') actions.push({ atMs: now, action });
    switch (action.kind) {
      case 'wait':
        break;
      case 'set-downtime-limit':
        ({ limitMs } = action);
        break;
      case 'throttle':
        throttlePercent = action.percent;
        break;
      case 'hold':
        held = true;
        limitMs = holdLimitMs;
        break;
      case 'post-copy':
        return ended('post-copy', action.why, now + fixedMs, fixedMs);
      case 'give-up':
        return ended('given-up', action.why, now, null, action.cause);
    }
    const toSend = Math.max(0, left - (limitMs / 1000) * bandwidth * 0.99);
    const ms = Math.min(lookEveryMs, Math.max(0.5, (toSend / bandwidth) * 1000));
    const sent = Math.min(left, (bandwidth * ms) / 1000);
    left -= sent;
    transferred += sent;
    now += ms;
  }
}

/** A guest that writes to one area over and over, as fast as it says. */
export const cyclicWriter = (bytesPerSecond: number, workingSetBytes: number): Pick<PrecopyWorld, 'dirtied' | 'workingSetBytes'> => ({
  workingSetBytes,
  dirtied: (fromMs, toMs) => Math.min(workingSetBytes, ((toMs - fromMs) / 1000) * bytesPerSecond),
});

/** A guest that writes anywhere in one area: the same page again and again, so the number of different ones grows ever more slowly. */
export const randomWriter = (bytesPerSecond: number, workingSetBytes: number): Pick<PrecopyWorld, 'dirtied' | 'workingSetBytes'> => ({
  workingSetBytes,
  dirtied: (fromMs, toMs) =>
    workingSetBytes === 0 ? 0 : workingSetBytes * (1 - Math.exp((-bytesPerSecond * (toMs - fromMs)) / 1000 / workingSetBytes)),
});
