/**
 * `make bench`: measures, prints medians with their ranges, and appends the raw runs to bench/results.jsonl.
 *
 *   make bench                          every benchmark
 *   make bench ARGS='moves 20'          live migrations only, 20 per dirty rate
 *   make bench ARGS='blackout 280'      live migrations in a row, for that many seconds; windows add up
 *   make bench ARGS='peer 280'          beside libvirt, for that many seconds; `make bench ARGS='peer 0'` prints what all such windows have found
 *   make bench ARGS='stream-moves 280' live migrations by each memory stream in turn, for that many seconds
 *   make bench ARGS='prediction 20:42'  20 moves scored, of workloads drawn with the seed 42
 */
import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { benchMoves } from './moves.ts';
import { benchPrediction } from './prediction.ts';
import { appendResult } from './results.ts';

const ratesMBs = [0, 50, 200];
const defaultPerRate = 10;

const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  ramGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  qemu: /version ([\d.]+)/.exec(execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
};

const benchmarks: Readonly<Record<string, (count: string | undefined) => Promise<unknown>>> = {
  moves: async (count) => benchMoves({ perRate: count === undefined ? defaultPerRate : Number(count), ratesMBs }),
  block: async (count) =>
    import('./block.ts').then(({ benchBlock }) => benchBlock({ blackouts: count === undefined ? 10 : Number(count), copies: 5 })),
  // count: moves that are scored; a third as many teach the spread before. With a seed (`20:4242`) other workloads are drawn: an estimator is not scored on those it was tuned with.
  prediction: async (count) => {
    const [scored = 60, seed = 7_919] = (count ?? '').split(':').map((word) => (word === '' ? undefined : Number(word)));
    return benchPrediction({ learning: Math.ceil(scored / 3), scored, seed });
  },
  // count: seconds; windows add up. 0 only prints.
  blackout: async (count) => import('./blackout.ts').then(({ benchBlackout }) => benchBlackout(count === undefined ? 280 : Number(count))),
  peer: async (count) => import('./peer.ts').then(({ benchPeer }) => benchPeer(count === undefined ? 280 : Number(count))),
  streams: async (count) => import('./streams.ts').then(({ benchStreams }) => benchStreams(count === undefined ? 5 : Number(count))),
  'stream-moves': async (count) =>
    import('./stream-moves.ts').then(({ benchStreamMoves }) => benchStreamMoves(count === undefined ? 280 : Number(count))),
  cli: async (count) => import('./cli.ts').then(({ benchCli }) => benchCli(count === undefined ? 10 : Number(count))),
  simulated: async () => import('./simulated.ts').then(({ benchSimulated }) => benchSimulated()),
  dashboard: async (count) =>
    import('./dashboard.ts').then(({ benchDashboard }) => benchDashboard(count === undefined ? 10_000 : Number(count))),
  scheduling: async () => import('./scheduling-decision.ts').then(() => null),
  'drain-plan': async () => import('./drain-plan.ts').then(() => null),
  claims: async () => import('./scheduling-claim.ts').then(() => null),
};

const [wanted, count] = process.argv.slice(2);
if (wanted !== undefined && benchmarks[wanted] === undefined) {
  console.error(`no benchmark is called ${wanted}; there are: ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}
console.log(JSON.stringify(machine));
for (const [name, measure] of Object.entries(benchmarks)) {
  if (wanted !== undefined && wanted !== name) continue;
  console.log(`\n== ${name}`);
  const raw = await measure(count);
  if (raw !== null) appendResult({ at: new Date().toISOString(), benchmark: name, machine, raw });
}
