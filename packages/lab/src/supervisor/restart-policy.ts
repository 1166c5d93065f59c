/** A process that lived this long had started: its next death is a new story. */
export const provenAfterMs = 10_000;

const firstDelayMs = 100;
const longestDelayMs = 2_000;

/**
 * How long to wait before starting a process again. `quickDeaths` counts the deaths in a row, this one included, that came
 * before the process had proven itself. The first restart is at once: guests wait for their agent (a move in the middle of
 * its switchover has a timeout of a second). From then on 100 ms, doubled up to 2 s, so that one that cannot start does not eat a core.
 */
export function restartDelayMs(quickDeaths: number): number {
  if (quickDeaths <= 1) return 0;
  return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(quickDeaths - 2, 16));
}

/** The new count of quick deaths in a row after a process that lived for `livedMs` died. */
export function countQuickDeaths(before: number, livedMs: number): number {
  return livedMs >= provenAfterMs ? 1 : before + 1;
}
