import type { MigrationPhase } from '../migration.ts';

/** How long a phase took in past moves, ms; null: none seen. */
export type UsualMs = Readonly<Record<string, number | null | undefined>>;

/** A phase that has lasted much longer than usual. */
export type Overdue = { readonly phase: MigrationPhase; readonly ageMs: number; readonly usualMs: number | null; readonly limitMs: number };

/** Longer than usual by this factor is worth a look. */
const factor = 3;
/**
 * No phase is called late before this, however quick it usually is. Phases that wait for somebody by design are never late: `queued` for its turn, `finished` for an operator (see
 * forgotten ones).
 */
const leastMs: Partial<Record<MigrationPhase, number>> = {
  accepted: 10_000,
  scheduling: 10_000,
  preparing: 60_000,
  copying: 120_000,
  'post-copy': 60_000,
  switchover: 10_000,
  committing: 30_000,
  stopping: 120_000,
  'copying-disks': 600_000,
  starting: 60_000,
  confirming: 30_000,
  reverting: 120_000,
};

/**
 * Whether a move has been in its phase for much longer than moves usually are. Pure; `usual` is of completed moves (their 95th percentile); `predictedMs`, the upper end of this move's own
 * prediction, keeps a large guest among small ones from being called late while it copies.
 */
export function overdue(phase: MigrationPhase, ageMs: number, usual: UsualMs, predictedMs: number | null = null): Overdue | null {
  const least = leastMs[phase];
  if (least === undefined) return null;
  const usualMs = usual[phase] ?? null;
  const expectedMs = phase === 'copying' ? Math.max(usualMs ?? 0, predictedMs ?? 0) : (usualMs ?? 0);
  const limitMs = Math.max(least, expectedMs * factor);
  return ageMs > limitMs ? { phase, ageMs, usualMs, limitMs } : null;
}

/** Released or beyond: from here on a move cannot be given up any more. */
export const isPastRelease = (phase: MigrationPhase): boolean => phase === 'switchover' || phase === 'committing' || phase === 'post-copy';
