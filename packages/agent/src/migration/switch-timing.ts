import type { RamProgress } from '../drivers/migration-report.ts';

/**
 * How long before the expected stop the guest's frames begin to go to the destination as well. Longer queues more frames that the guest has already had, which it must
 * then skip before it sees the new ones; shorter risks that QEMU stops first: a look at QEMU plus one `tc` take 10–40 ms.
 */
const leadMs = 250;

/** What QEMU is told until the mirror is open, so that it prefers another short round to stopping. */
export const holdDowntimeLimitMs = 1;

/**
 * What QEMU is told first once everything is ready. QEMU stops as soon as what is left takes less than its limit, so most guests, which leave little behind each round, would stand
 * still for the whole limit without need.
 */
export const eagerDowntimeLimitMs = 8;

/** A guest that has not come below the eager limit by then writes too fast for it, and the policy's counts. QEMU looks every 100 ms. */
export const eagerForMs = 400;

/**
 * How long after the take nobody is told of it. Whoever hears has work to do, on a small cloud with the very processors that the guest now needs; and nothing is lost, because its
 * first moments are watched for longer than this before the move may end.
 */
export const breathMs = 30;

/** Whether the stop may come within the lead, going by what is left and how fast it goes. Unknown speed counts as fast. */
export function stopIsNear(ram: RamProgress | null, elapsedMs: number): boolean {
  if (!ram || ram.totalBytes === 0) return false;
  // QEMU's own mbps is refreshed every 100 ms at best; the average over the whole copy is steadier and there from the start.
  const bytesPerMs = Math.max(ram.mbps * 125, elapsedMs > 0 ? (ram.memoryBytes ?? 0) / elapsedMs : 0);
  // `remaining` of the first round includes pages that turn out to be zero and cost nothing: progress over the total counts those too.
  const done = ram.totalBytes - ram.remainingBytes;
  const firstRoundMs = elapsedMs > 0 && done > 0 ? (ram.remainingBytes / done) * elapsedMs : Number.POSITIVE_INFINITY;
  const etaMs = ram.dirtySyncCount <= 1 ? firstRoundMs : bytesPerMs > 0 ? ram.remainingBytes / bytesPerMs : 0;
  return etaMs <= leadMs;
}
