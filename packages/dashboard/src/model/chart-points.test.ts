import type { TimelineEntry } from '@godwit/domain/migration';
import { expect, it } from 'vitest';
import { chartPoints } from './chart-points.ts';

const phase = (at: number, detail: string): TimelineEntry => ({ at, clock: 'controller', what: 'phase', detail });
const record = {
  status: 'completed',
  memory: { totalBytes: 90 },
  disk: { totalBytes: 10 },
  timeline: [phase(0, 'preparing'), phase(100, 'copying'), phase(900, 'switchover'), phase(950, 'completed')],
};
const sample = (at: number, remainingBytes: number) => ({ at, remainingBytes, dirtyBytesPerSecond: 1, sentBytesPerSecond: 2 });
const line = (points: ReturnType<typeof chartPoints>) => points.map(({ at, remainingBytes }) => [at, remainingBytes]);

it('gives a copy that was over before it was reported its beginning and its end', () => {
  expect(line(chartPoints(record, []))).toEqual([
    [100, 100],
    [900, 0],
  ]);
  expect(chartPoints(record, [])[0]?.sentBytesPerSecond).toBeNull();
});

it('puts the reports between them, in order, and claims no end that was not reached', () => {
  expect(line(chartPoints(record, [sample(300, 60)]))).toEqual([
    [100, 100],
    [300, 60],
    [900, 0],
  ]);
  expect(line(chartPoints({ ...record, status: 'cancelled' }, [sample(300, 60)]))).toEqual([
    [100, 100],
    [300, 60],
  ]);
  // Clocks that disagree do not make a line run backwards.
  expect(line(chartPoints(record, [sample(50, 100), sample(1_000, 0)]))).toEqual([
    [50, 100],
    [1_000, 0],
  ]);
  expect(chartPoints({ ...record, timeline: [phase(0, 'accepted')] }, [])).toEqual([]);
});
