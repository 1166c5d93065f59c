import { afterEach, describe, expect, it } from 'vitest';
import { commands } from './commands/migration.ts';
import type { JsonObject } from './json.ts';
import { type FakeCloud, fakeCloud } from './testing/fake-cloud.ts';

const copying = (remainingBytes: number): JsonObject => ({
  id: 'm1',
  status: 'running',
  phase: 'copying',
  serverName: 'web',
  memory: { totalBytes: 104_857_600, remainingBytes, processedBytes: 104_857_600 - remainingBytes },
  measures: { throughputBytesPerSecond: 10_485_760, dirtyRateBytesPerSecond: 5_242_880 },
});
const completed: JsonObject = {
  id: 'm1',
  status: 'completed',
  phase: 'completed',
  serverName: 'web',
  destination: { name: 'node2' },
  measures: { blackoutMs: 31.4, clockErrorMs: 0.12 },
};
const failed: JsonObject = {
  id: 'm1',
  status: 'failed',
  phase: 'failed',
  serverName: 'web',
  source: { name: 'node1' },
  outcome: { cause: 'StreamFailed', sentence: 'The link broke.', runsOn: 'source' },
};

describe('following a move', () => {
  let cloud: FakeCloud;
  afterEach(() => cloud.close());
  /** A record that is the next of these at each look, and stays the last. */
  const follow = async (records: readonly JsonObject[], columns?: number) => {
    let looks = 0;
    cloud = await fakeCloud(commands, () => ({ migration: records[Math.min(looks++, records.length - 1)] ?? null }));
    return cloud.godwit('migration watch 00000000-0000-4000-8000-000000000001', columns === undefined ? {} : { columns });
  };

  it('writes one line over and over on a terminal, wipes what was longer, and ends with the blackout', async () => {
    const { code, out, err } = await follow([copying(78_643_200), copying(52_428_800), completed], 120);
    const long = 'web: copying  25 %  10 MiB/s  dirty 5.0 MiB/s  ETA 8–15 s';
    expect(out.split('\r')).toEqual([
      '',
      long,
      'web: copying  50 %  10 MiB/s  dirty 5.0 MiB/s  ETA 5–10 s'.padEnd(long.length),
      `${'web: completed'.padEnd(long.length)}\nweb runs on node2 after a blackout of 31 ms (± 0.1 ms).\n`,
    ]);
    expect([code, err]).toEqual([0, '']);
  });

  it('never writes a line wider than the terminal, which could not be taken back', async () => {
    const { out } = await follow([copying(78_643_200), completed], 20);
    const [, ...lines] = out.split('\n')[0]?.split('\r') ?? [];
    expect(lines.map((line) => line.length)).toEqual([19, 19]);
  });

  it('writes a line per phase and tenth of the copy into a log', async () => {
    const { out } = await follow([copying(78_643_200), copying(77_643_200), copying(52_428_800), completed]);
    expect(out.split('\n')).toEqual([
      'web: copying  25 %  10 MiB/s  dirty 5.0 MiB/s  ETA 8–15 s',
      'web: copying  50 %  10 MiB/s  dirty 5.0 MiB/s  ETA 5–10 s',
      'web: completed',
      'web runs on node2 after a blackout of 31 ms (± 0.1 ms).',
      '',
    ]);
  });

  it('exits with 4 and the record’s own cause when it ended otherwise', async () => {
    const { code, err } = await follow([copying(1), failed]);
    expect(code).toBe(4);
    expect(err).toBe(
      'web: migration failed. StreamFailed: The link broke. The guest runs on node1.\n`godwit migration show 00000000-0000-4000-8000-000000000001` has the timeline and the verdict of every host.\n',
    );
  });
});
