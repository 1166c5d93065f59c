import { cyclicWriter, runPrecopy } from '@godwit/domain/convergence/precopy-model';
import type { MigrationCause } from '@godwit/domain/migration';
import type { MigrationPolicy } from '../host-driver.ts';
import { copyMs, type SimulatedTimings } from './simulated-timings.ts';

/** How a simulated copy will go. */
export type SimulatedCopy = {
  readonly copyMs: number;
  readonly blackoutMs: number;
  /** Given up when the copy has taken so long; null: it completes. */
  readonly givesUp: { readonly cause: MigrationCause; readonly why: string } | null;
};

/**
 * The model of a pre-copy that predictions use, under the move's own policy: a simulated guest that writes faster than its link carries is slowed down, paused or given up as a real one
 * would be. Without a policy, or with a copy that takes no time, the steady state.
 */
export function simulatedCopy(ramMib: number, timings: SimulatedTimings, policy: MigrationPolicy): SimulatedCopy {
  const { convergence, maxBandwidthBytes } = policy;
  const { bandwidthBytesPerSecond, dirtyBytesPerSecond, blackoutMs } = timings;
  if (convergence === null || bandwidthBytesPerSecond === 0) return { copyMs: copyMs(ramMib, timings), blackoutMs, givesUp: null };
  const ramBytes = ramMib * 1_048_576;
  const link = maxBandwidthBytes === 0 ? bandwidthBytesPerSecond : Math.min(maxBandwidthBytes, bandwidthBytesPerSecond);
  const run = runPrecopy(
    {
      firstPassBytes: ramBytes,
      ...cyclicWriter(dirtyBytesPerSecond, ramBytes),
      bandwidthBytesPerSecond: () => link,
      fixedMs: blackoutMs,
    },
    convergence,
    policy.forceComplete ? 0 : Infinity,
  );
  if (run.outcome !== 'completed')
    return { copyMs: run.durationMs, blackoutMs, givesUp: { cause: run.cause ?? 'WillNotConverge', why: run.why } };
  const stoppedMs = run.blackoutMs ?? blackoutMs;
  return { copyMs: Math.max(0, run.durationMs - stoppedMs), blackoutMs: stoppedMs, givesUp: null };
}
