import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json, JsonObject } from './json.ts';
import { migrationRecord } from './migration-record-text.ts';
import { humanOf, machineOf } from './render/cell.ts';

const MIB = 1_048_576;
const shown = (record: JsonObject): Readonly<Record<string, string>> =>
  Object.fromEntries(migrationRecord(record).map(([name, cell]) => [name, humanOf(cell)]));

describe('a record of a migration as people read it', () => {
  it('tells each entry of the timeline with the time since the first, and whose clock', () => {
    const timeline = [
      { at: 1_795_458_926_549, clock: 'controller', what: 'phase', detail: 'accepted' },
      { at: 1_795_458_926_653.088, clock: 'destination', what: 'preparing' },
    ];
    expect(shown({ timeline })['timeline']).toBe('  +0 ms  controller   phase: accepted\n+104 ms  destination  preparing');
  });

  it('tells the phases in the order in which they came', () => {
    const timeline = ['queued', 'copying'].map((detail, at) => ({ at, clock: 'controller', what: 'phase', detail }));
    expect(shown({ timeline, phaseDurationsMs: { copying: 723.4, queued: 5.04 } })['phaseDurationsMs']).toBe('queued 5 ms, copying 723 ms');
  });

  it('tells what was measured, and nothing of what was not', () => {
    expect(shown({ measures: { blackoutMs: 72.83, clockErrorMs: 0.072, rounds: 3, ownShareMs: null } })['measures']).toBe(
      'blackout, STOP to RESUME: 72.8 ms ± 0.1 ms\nrounds: 3',
    );
    expect(
      shown({ measures: { guestTime: { outcome: 'set', driftBeforeMs: -517.24, driftAfterMs: 0.4, errorMs: 1, detail: '' } } })['measures'],
    ).toBe("the guest's clock: set, 517.2 ms behind, 0.4 ms ahead now");
    expect(shown({ measures: { blackoutMs: null } })['measures']).toBe('nothing measured yet');
    expect(shown({ memory: { totalBytes: 97 * MIB, processedBytes: 74.4 * MIB, remainingBytes: 0 }, disk: { totalBytes: 0 } })).toEqual({
      memory: '97 MiB, 74 MiB sent, 0 MiB left',
      disk: 'nothing to copy',
    });
  });

  it('tells memory from what went over the wire', () => {
    const measures = { throughputBytesPerSecond: 160 * MIB, linkBytesPerSecond: 120 * MIB, memoryPerWireByte: 4 };
    const told = shown({
      measures,
      memory: { totalBytes: 97 * MIB, processedBytes: 24 * MIB },
      memoryStream: { used: 'zstd', asked: 'zstd' },
    });
    expect(told['measures']).toBe(
      'sent at: 160 MiB/s of memory, compressed\nthe link carried: 120 MiB/s of memory, compressed\nmemory per byte on the wire: 4 bytes',
    );
    expect(told['memory']).toBe('97 MiB, 24 MiB sent on the wire');
    expect(shown({ measures: { ...measures, memoryPerWireByte: 1 } })['measures']).toBe('sent at: 160 MiB/s\nthe link carried: 120 MiB/s');
  });

  it('names the host that the guest runs on, and the cause once', () => {
    const record = { source: { id: '1', name: 'node1' }, destination: null };
    const outcome = { cause: 'NoValidHost', runsOn: 'source', evidence: ['node2 is down'] };
    for (const sentence of ['NoValidHost: none.', 'none.'])
      expect(shown({ ...record, outcome: { ...outcome, sentence } })['outcome']).toBe('NoValidHost: none.\nruns on: node1\nnode2 is down');
  });

  it('tells how the hosts were judged, and counts those beyond eight of one reason', () => {
    const hosts = Array.from({ length: 10 }, (_, index) => `n${index}`);
    const verdicts = {
      hosts: 11,
      passing: 1,
      ranked: [{ rank: 1, host: 'node3', why: ['75 % loaded afterwards'] }],
      rejected: [{ code: 'X', count: 10, examples: [{ hosts, sentence: 'it is full', smallestChange: 'empty it' }] }],
      zoneRule: 'It may cross zones.',
    };
    expect(shown({ verdicts })['verdicts']).toBe(
      '1 of 11 hosts pass. It may cross zones.\n1. node3: 75 % loaded afterwards\nnot n0, n1, n2, n3, n4, n5, n6, n7 and 2 more: it is full → empty it',
    );
  });

  it('leaves the record whole for machines, whatever is in it, and no line of words goes on for ever', () => {
    const json = fc.jsonValue() as fc.Arbitrary<Json>;
    const name = fc.constantFrom('outcome', 'measures', 'memory', 'verdicts', 'timeline', 'policy', 'source', 'prediction', 'overdue', 'x');
    fc.assert(
      fc.property(fc.dictionary(name, fc.oneof(json, fc.dictionary(fc.string(), json))), (record) => {
        const fields = migrationRecord(record as JsonObject);
        expect(Object.fromEntries(fields.map(([field, cell]) => [field, machineOf(cell)]))).toEqual(record);
        for (const [, cell] of fields)
          if (typeof machineOf(cell) === 'object' && machineOf(cell) !== null)
            for (const line of humanOf(cell).split('\n')) expect(line.length).toBeLessThanOrEqual(114);
      }),
    );
  });
});
