import { coldPhases, finalPhases, livePhases, type MigrationPhase, type MigrationType, type TimelineEntry } from '@godwit/domain/migration';

type Counters = { readonly totalBytes: number | null; readonly remainingBytes: number | null };

/** 0–100: the share of memory and disks that need not be sent any more; 100 only when the move has completed. */
export function progressPercent(migration: { readonly status: string; readonly memory: Counters; readonly disk: Counters }): number {
  if (migration.status === 'completed') return 100;
  const total = (migration.memory.totalBytes ?? 0) + (migration.disk.totalBytes ?? 0);
  if (total === 0) return 0;
  // What has not been counted yet has not been sent.
  const left = (counters: Counters): number => counters.remainingBytes ?? counters.totalBytes ?? 0;
  const remaining = left(migration.memory) + left(migration.disk);
  return Math.max(0, Math.min(99, Math.round(100 * (1 - remaining / total))));
}

const furthest = new Map<string, number>();

/** The furthest that this migration has been: memory written again makes more to send, but a bar that runs backwards tells nothing. */
export function furthestPercent(id: string, percent: number): number {
  const next = Math.max(furthest.get(id) ?? 0, percent);
  furthest.set(id, next);
  return next;
}

export type PhaseStep = {
  readonly phase: string;
  readonly state: 'done' | 'current' | 'failed' | 'pending';
  /** null while it is not over, or when it was never entered. */
  readonly durationMs: number | null;
};

const finals: ReadonlySet<string> = new Set([...finalPhases, 'confirmed', 'reverted']);
const goodEnds: ReadonlySet<string> = new Set(['completed', 'confirmed', 'reverted']);
/** Phases that only some moves go through: shown when they were entered. */
const optional: ReadonlySet<string> = new Set(['post-copy', 'copying-disks', 'confirming', 'reverting', 'confirmed', 'reverted']);
/** A cold move is placed and prepared at once when nothing is in its way. */
const optionalWhenCold: ReadonlySet<string> = new Set([...optional, 'scheduling', 'queued']);

/** The phases of a move in order, with what each took; where it ended early, the phase in which that happened is the failed one. */
export function phaseSteps(record: {
  readonly type: MigrationType;
  readonly phase: MigrationPhase;
  readonly phaseDurationsMs: Readonly<Record<string, number>>;
  readonly timeline: readonly TimelineEntry[];
}): readonly PhaseStep[] {
  const entered = record.timeline.filter((entry) => entry.clock === 'controller' && entry.what === 'phase');
  const startOf = new Map(entered.map((entry) => [entry.detail ?? '', entry.at]));
  const last = entered.findLast((entry) => !finals.has(entry.detail ?? ''))?.detail ?? 'accepted';
  const over = finals.has(record.phase);
  const live = record.type === 'live-migration';
  const phases: readonly string[] = live ? livePhases : coldPhases;
  const mayMiss = live ? optional : optionalWhenCold;
  return phases
    .filter((phase) => !mayMiss.has(phase) || startOf.has(phase))
    .map((phase): PhaseStep => {
      const durationMs = record.phaseDurationsMs[phase] ?? between(entered, phase);
      if (over && !goodEnds.has(record.phase) && phase === last) return { phase, state: 'failed', durationMs };
      if (!over && phase === record.phase) return { phase, state: 'current', durationMs: null };
      // `accepted` is where every record begins; it may have no entry of its own.
      const was = startOf.has(phase) || phase === 'accepted' || record.phase === 'completed';
      return was ? { phase, state: 'done', durationMs } : { phase, state: 'pending', durationMs: null };
    });
}

function between(entered: readonly TimelineEntry[], phase: string): number | null {
  const at = entered.findIndex((entry) => entry.detail === phase);
  const [begin, end] = [entered[at], entered[at + 1]];
  return at < 0 || begin === undefined || end === undefined ? null : end.at - begin.at;
}

/**
 * How long until the switchover, as a range of milliseconds: at best everything is sent at the present rate and nothing is written again; at worst the guest goes on
 * writing as it does. `worstMs` null: at the present rates it would not end. Null: nothing to go by.
 */
export function timeLeft(sample: {
  readonly remainingBytes: number;
  readonly dirtyBytesPerSecond: number;
  readonly sentBytesPerSecond: number;
}): { readonly bestMs: number; readonly worstMs: number | null } | null {
  if (sample.sentBytesPerSecond <= 0) return null;
  const gain = sample.sentBytesPerSecond - sample.dirtyBytesPerSecond;
  const bestMs = (sample.remainingBytes / sample.sentBytesPerSecond) * 1000;
  return { bestMs, worstMs: gain <= 0 ? null : (sample.remainingBytes / gain) * 1000 };
}
