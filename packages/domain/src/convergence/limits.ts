import type { ConvergencePolicy } from './policy.ts';

/** Of every blackout, besides sending what is left: the stop, the devices' state, release and take, the start. Idle guests measured 23–66 ms with a limit of 30. */
export const fixedBlackoutMs = 20;
/** The link may be slower in the moment of the stop than just before it. */
export const bandwidthMargin = 1.25;
/** Where QEMU's downtime limit starts: measured best, a lower one gave more rounds and no shorter blackout. */
const firstLimitMs = 30;

/** The highest downtime limit that QEMU may ever be given under the policy, so that the whole blackout stays below its largest. */
export const highestLimitMs = ({ largestBlackoutMs }: Pick<ConvergencePolicy, 'largestBlackoutMs'>): number =>
  Math.max(1, Math.floor((largestBlackoutMs - fixedBlackoutMs) / bandwidthMargin));

/** The downtime limit to begin with. */
export const lowestLimitMs = (policy: Pick<ConvergencePolicy, 'largestBlackoutMs'>): number =>
  Math.min(firstLimitMs, highestLimitMs(policy));
