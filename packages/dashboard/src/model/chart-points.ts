import type { TimelineEntry } from '@godwit/domain/migration';
import type { Sample } from './samples.ts';

/** One point of the chart; a rate that nobody has measured then is null, and the line has a gap. */
export type ChartPoint = {
  readonly at: number;
  readonly remainingBytes: number;
  readonly dirtyBytesPerSecond: number | null;
  readonly sentBytesPerSecond: number | null;
};

type Counters = { readonly totalBytes: number | null };

/**
 * What was reported of a copy, between what is known without a report: when it began everything remained, and when a completed one ended nothing did. So a copy that was shorter than
 * the time between two reports has its line too.
 */
export function chartPoints(
  record: {
    readonly status: string;
    readonly memory: Counters;
    readonly disk: Counters;
    readonly timeline: readonly TimelineEntry[];
  },
  samples: readonly Sample[],
): readonly ChartPoint[] {
  const entered = (...phases: readonly string[]): number | undefined =>
    record.timeline.find(({ clock, what, detail }) => clock === 'controller' && what === 'phase' && phases.includes(detail ?? ''))?.at;
  const total = (record.memory.totalBytes ?? 0) + (record.disk.totalBytes ?? 0);
  const known = (at: number, remainingBytes: number): ChartPoint => ({
    at,
    remainingBytes,
    dirtyBytesPerSecond: null,
    sentBytesPerSecond: null,
  });
  const begin = entered('copying');
  const end = entered('switchover', 'committing', 'completed');
  const first = samples[0]?.at ?? Number.POSITIVE_INFINITY;
  const last = samples.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  return [
    ...(begin !== undefined && total > 0 && begin < first ? [known(begin, total)] : []),
    ...samples,
    ...(record.status === 'completed' && begin !== undefined && end !== undefined && end > last ? [known(end, 0)] : []),
  ];
}
