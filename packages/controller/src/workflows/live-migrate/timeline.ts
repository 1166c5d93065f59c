import type { TimelineEvent } from '@godwit/contract/gen/migration_pb';
import type { MigrationPhase, TimelineEntry } from '@godwit/domain/migration';

/** The timeline with the beginning of a phase added; a phase that is in progress already is not added again. */
export function withPhase(timeline: readonly TimelineEntry[], phase: MigrationPhase, at: number): readonly TimelineEntry[] {
  if (phaseEntries(timeline).at(-1)?.detail === phase) return timeline;
  return [...timeline, { at, clock: 'controller', what: 'phase', detail: phase }];
}

/** How long each phase took, in milliseconds of the controllers' clock; a phase that came twice (taken over in between) counts once, from its first beginning. */
export function durations(timeline: readonly TimelineEntry[]): Readonly<Record<string, number>> {
  const phases = phaseEntries(timeline);
  const result: Record<string, number> = {};
  for (const [index, entry] of phases.entries()) {
    const next = phases[index + 1];
    if (next === undefined || entry.detail === undefined) continue;
    result[entry.detail] = Math.max(0, Math.round((result[entry.detail] ?? 0) + next.at - entry.at));
  }
  return result;
}

/** Replaces what was known of one side's timeline by what it reports now, keeping all entries in the order of their clocks. */
export function withReported(
  timeline: readonly TimelineEntry[],
  clock: 'source' | 'destination',
  events: readonly TimelineEvent[],
): readonly TimelineEntry[] {
  const others = timeline.filter((entry) => entry.clock !== clock);
  const reported = events.map(
    (event): TimelineEntry => ({ at: event.atMs, clock, what: event.what, ...(event.detail === '' ? {} : { detail: event.detail }) }),
  );
  return [...others, ...reported].toSorted((a, b) => a.at - b.at);
}

function phaseEntries(timeline: readonly TimelineEntry[]): readonly TimelineEntry[] {
  return timeline.filter((entry) => entry.clock === 'controller' && entry.what === 'phase');
}
