/**
 * Whether more channels (multifd) or compression make a copy of memory shorter on this machine: one guest's memory from QEMU to QEMU over TLS, sent in each way in turn.
 * Run: node bench/run.ts streams [rounds]
 */
import { execFileSync } from 'node:child_process';
import { printed, summarise } from './quantiles.ts';

type StreamRun = {
  readonly stream: string;
  readonly content: string;
  readonly cap: number;
  readonly totalMs: number;
  readonly sentBytes: number;
};

const script = new URL('../packages/agent/src/qemu/measure-streams.ts', import.meta.url).pathname;

export function benchStreams(rounds: number): readonly StreamRun[] {
  const runs = JSON.parse(execFileSync(process.execPath, [script, `${rounds}`], { encoding: 'utf8' })) as readonly StreamRun[];
  for (const [what, mine] of Map.groupBy(
    runs,
    ({ cap, content, stream }) => `${cap === 0 ? 'no cap' : `${cap / 1e6} MB/s`}, ${content}, ${stream}`,
  )) {
    const sent = summarise(mine.map(({ sentBytes }) => sentBytes / 1e6));
    console.log(`${what}: ${printed(summarise(mine.map(({ totalMs }) => totalMs)))} ms, ${printed(sent)} MB sent`);
  }
  return runs;
}
