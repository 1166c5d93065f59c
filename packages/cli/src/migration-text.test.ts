import { describe, expect, it } from 'vitest';
import type { JsonObject } from './json.ts';
import { migrationEnd, progressLine } from './migration-text.ts';

const MIB = 1_048_576;
const record = (more: JsonObject): JsonObject => ({
  serverName: 'web',
  status: 'running',
  phase: 'copying',
  memory: { totalBytes: 100 * MIB, processedBytes: 60 * MIB, remainingBytes: 40 * MIB },
  disk: { totalBytes: null, processedBytes: null, remainingBytes: null },
  measures: {},
  source: { id: '1', name: 'node1' },
  destination: { id: '2', name: 'node2' },
  ...more,
});

describe('the progress of a move on one line', () => {
  it('says phase, per cent, rates, and the time left as a range', () => {
    const measures = { throughputBytesPerSecond: 20 * MIB, dirtyRateBytesPerSecond: 10 * MIB };
    expect(progressLine(record({ measures })).text).toBe('web: copying  60 %  20 MiB/s  dirty 10 MiB/s  ETA 2–4 s');
  });

  it('does not promise an end when the guest writes faster than the copy', () => {
    const measures = { throughputBytesPerSecond: 20 * MIB, dirtyRateBytesPerSecond: 30 * MIB };
    expect(progressLine(record({ measures })).text).toContain('ETA unknown: it writes faster than the copy');
  });

  it('says nothing of how far it is before the first sample', () => {
    expect(progressLine(record({ memory: { totalBytes: 100, processedBytes: 0, remainingBytes: 0 } })).text).toBe('web: copying');
  });

  it('counts disk and memory as one', () => {
    const disk = { totalBytes: 300 * MIB, processedBytes: 0, remainingBytes: 300 * MIB };
    expect(progressLine(record({ disk })).text).toContain('15 %');
  });

  it('shows the place in the queue', () => {
    expect(progressLine(record({ phase: 'queued', queuePosition: 3 })).text).toBe('web: queued  position 3');
  });
});

describe('the end of a move', () => {
  it('is none while it goes on, whatever the phase', () => {
    for (const status of ['accepted', 'queued', 'preparing', 'running', 'running (post-copy)', 'post-migrating', 'migrating'])
      expect(migrationEnd(record({ status }))).toBeNull();
  });

  it('tells the blackout with its error', () => {
    const measures = { blackoutMs: 34.4, clockErrorMs: 0.62 };
    expect(migrationEnd(record({ status: 'completed', measures }))).toEqual({
      asAsked: true,
      sentence: 'web runs on node2 after a blackout of 34 ms (± 0.6 ms).',
    });
  });

  it('tells cause, sentence and where the guest runs now', () => {
    const outcome = { cause: 'NoValidHost', sentence: 'No valid host was found.', runsOn: 'source', evidence: null };
    expect(migrationEnd(record({ status: 'error', outcome }))).toEqual({
      asAsked: false,
      sentence: 'web: migration error. NoValidHost: No valid host was found. The guest runs on node1.',
    });
    expect(migrationEnd(record({ status: 'error', outcome: { ...outcome, runsOn: 'unknown' } }))?.sentence).not.toContain('runs on');
  });
});
