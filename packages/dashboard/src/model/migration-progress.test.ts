import type { TimelineEntry } from '@godwit/domain/migration';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { furthestPercent, phaseSteps, progressPercent, timeLeft } from './migration-progress.ts';

const entry = (detail: string, at: number): TimelineEntry => ({ at, clock: 'controller', what: 'phase', detail });
const steps = (...args: Parameters<typeof phaseSteps>) =>
  phaseSteps(...args).map(({ phase, state, durationMs }) => `${phase} ${state} ${durationMs}`);

it('never shows 100 before the record says completed', () => {
  const counters = { totalBytes: 100, remainingBytes: 0 };
  const none = { totalBytes: 0, remainingBytes: 0 };
  expect(progressPercent({ status: 'running', memory: counters, disk: none })).toBe(99);
  expect(progressPercent({ status: 'completed', memory: counters, disk: none })).toBe(100);
  expect(progressPercent({ status: 'running', memory: { totalBytes: 100, remainingBytes: null }, disk: none })).toBe(0);
  expect(progressPercent({ status: 'queued', memory: { totalBytes: null, remainingBytes: null }, disk: none })).toBe(0);
});

it('never runs backwards, whatever the counters do', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1 }), (id, percents) => {
      let shown = 0;
      for (const percent of percents) {
        const next = furthestPercent(id, percent);
        expect(next).toBeGreaterThanOrEqual(shown);
        expect(next).toBeGreaterThanOrEqual(percent);
        shown = next;
      }
    }),
  );
});

it('shows the phases of a move in progress', () => {
  const timeline = [entry('accepted', 0), entry('scheduling', 10), entry('queued', 30), entry('preparing', 31), entry('copying', 200)];
  expect(steps({ type: 'live-migration', phase: 'copying', phaseDurationsMs: {}, timeline })).toEqual([
    'accepted done 10',
    'scheduling done 20',
    'queued done 1',
    'preparing done 169',
    'copying current null',
    'switchover pending null',
    'committing pending null',
  ]);
});

it('marks the phase in which a move ended early', () => {
  const timeline = [entry('scheduling', 10), entry('preparing', 30), entry('failed', 90)];
  expect(steps({ type: 'live-migration', phase: 'failed', phaseDurationsMs: { preparing: 60 }, timeline })).toEqual([
    'accepted done null',
    'scheduling done 20',
    'queued pending null',
    'preparing failed 60',
    'copying pending null',
    'switchover pending null',
    'committing pending null',
  ]);
});

it('tells the time left as a range, or that it would not end', () => {
  const sample = { remainingBytes: 1000, dirtyBytesPerSecond: 50, sentBytesPerSecond: 100 };
  expect(timeLeft(sample)).toEqual({ bestMs: 10_000, worstMs: 20_000 });
  expect(timeLeft({ ...sample, dirtyBytesPerSecond: 100 })).toEqual({ bestMs: 10_000, worstMs: null });
  expect(timeLeft({ ...sample, sentBytesPerSecond: 0 })).toBeNull();
});

it('shows the phases of a cold move, which waits at its end for its owner', () => {
  const timeline = [entry('accepted', 0), entry('preparing', 10), entry('stopping', 30), entry('starting', 100), entry('finished', 150)];
  const begun = ['accepted done 10', 'preparing done 20', 'stopping done 70', 'starting done 50'];
  expect(steps({ type: 'migration', phase: 'finished', phaseDurationsMs: {}, timeline })).toEqual([...begun, 'finished current null']);
  const reverted = [...timeline, entry('reverting', 200), entry('reverted', 260)];
  expect(steps({ type: 'migration', phase: 'reverted', phaseDurationsMs: {}, timeline: reverted })).toEqual([
    ...begun,
    'finished done 50',
    'reverting done 60',
    'reverted done null',
  ]);
});
