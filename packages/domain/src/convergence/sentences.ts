import type { ConvergenceState } from './converge.ts';
import type { ConvergencePolicy } from './policy.ts';
import type { ConvergenceSample } from './sample.ts';

/** Bytes per second in words. */
const rate = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e6).toFixed(bytesPerSecond < 1e7 ? 1 : 0)} MB/s`;
/** How fast the copy is: what is left is memory, and so is this; of a compressed stream it is not the link's own speed. */
export const speedOf = ({ bandwidthBytesPerSecond }: ConvergenceState, { memoryPerByte }: ConvergenceSample): string =>
  `${rate(bandwidthBytesPerSecond)}${memoryPerByte === undefined ? '' : ' of memory, compressed'}`;
const size = (bytes: number): string => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

/** Why nothing that the policy allows makes the copy converge. */
export function hopelessSentence(
  policy: ConvergencePolicy,
  state: ConvergenceState,
  sample: ConvergenceSample,
  bestRecentMs: number,
): string {
  const writes =
    sample.dirtyBytesPerSecond > 0
      ? `The guest changes memory at ${rate(sample.dirtyBytesPerSecond)}`
      : 'The guest goes on changing memory';
  const slowed = state.throttlePercent > 0 ? ` although it is slowed down by ${state.throttlePercent} %` : '';
  return (
    `${writes}${slowed}, the link carries ${speedOf(state, sample)}: ` +
    `the best moment of late would have stopped the guest for ${Math.round(bestRecentMs)} ms for its memory alone, and ${policy.largestBlackoutMs} ms are allowed in all.`
  );
}

/** What was left when the time was up. */
export function deadlineSentence(policy: ConvergencePolicy, state: ConvergenceState, sample: ConvergenceSample): string {
  const left = `${size(sample.remainingBytes)} were left after ${Math.round(policy.deadlineMs / 1000)} s`;
  if (state.bandwidthBytesPerSecond === 0) return `${left}, and how fast the link is was never seen.`;
  return `${left} at ${speedOf(state, sample)}${sample.round <= 1 ? ', not even once through the memory' : ''}.`;
}
