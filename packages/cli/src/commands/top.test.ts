import { afterEach, describe, expect, it } from 'vitest';
import { type FakeCloud, fakeCloud } from '../testing/fake-cloud.ts';
import { commands } from './top.ts';

const running = {
  id: 'm1',
  status: 'running',
  phase: 'copying',
  serverName: 'web',
  memory: { totalBytes: 1_000, remainingBytes: 250, processedBytes: 750 },
  measures: { throughputBytesPerSecond: 10_485_760, dirtyRateBytesPerSecond: 1_048_576 },
};
const ended = {
  id: 'm0',
  status: 'completed',
  phase: 'completed',
  serverName: 'db',
  destination: { name: 'node2' },
  measures: { blackoutMs: 28, clockErrorMs: 0.1 },
};

describe('godwit top', () => {
  let cloud: FakeCloud;
  afterEach(() => cloud.close());

  it('prints what moves and what ended last, once, where the output is no terminal', async () => {
    cloud = await fakeCloud(commands, () => ({ migrations: [running, ended] }));
    expect(await cloud.godwit('top')).toEqual({
      code: 0,
      out: '1 under way\n  web: copying  75 %  10 MiB/s  dirty 1.0 MiB/s  ETA 0 s\nended last\n  db runs on node2 after a blackout of 28 ms (± 0.1 ms).\n',
      err: '',
    });
    expect(cloud.asked).toEqual(['GET /godwit/v1/migrations?limit=200']);
  });

  it('draws a terminal anew, no wider than it is, until Ctrl-C', async () => {
    const interrupt = new AbortController();
    let looks = 0;
    cloud = await fakeCloud(commands, () => {
      looks += 1;
      if (looks === 2) interrupt.abort();
      return { migrations: looks === 1 ? [running] : [ended] };
    });
    const { code, out } = await cloud.godwit('top', { columns: 30, interrupted: interrupt.signal });
    expect(code).toBe(0);
    const [, first, second, ...more] = out.split('\u001b[H\u001b[2J');
    expect([first, second, more]).toEqual([
      '1 under way\n  web: copying  75 %  10 MiB/s\n',
      '0 under way\nended last\n  db runs on node2 after a bla\n',
      [],
    ]);
  });
});
