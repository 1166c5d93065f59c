/**
 * `make chaos`: a real lab whose processes, hosts and cables are broken in every phase of a live migration, and whose record, guest, disks and leftovers are judged after each.
 *
 *   make chaos                                                     every cell twice (about an hour)
 *   make chaos ARGS='--phase switchover --victim source-qemu'      some of them
 *   make chaos ARGS='--fault kill --times 1 --keep'                each once; the lab is left for a look when a cell fails
 *
 * Appends every run to chaos/results.jsonl. Exit code 1 when a cell failed.
 */
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cells, type EmptyCell, faults, isLive, type LiveCell, phases, switchover, victims } from './cells.ts';
import { ChaosLab } from './chaos-lab.ts';
import { newGuest } from './new-guest.ts';
import { phaseHolds } from './phase-points.ts';
import { type CellResult, runCell } from './run-cell.ts';
import { emptySummary, summary } from './summary.ts';

const { values } = parseArgs({
  options: {
    fault: { type: 'string', multiple: true },
    victim: { type: 'string', multiple: true },
    phase: { type: 'string', multiple: true },
    times: { type: 'string', default: '2' },
    dir: { type: 'string' },
    keep: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

function chosen(name: string, known: readonly string[], wanted: readonly string[] | undefined): ReadonlySet<string> {
  if (wanted === undefined) return new Set(known);
  const asked = wanted.flatMap((list) => list.split(',')).flatMap((one): readonly string[] => (one === 'switchover' ? switchover : [one]));
  const wrong = asked.find((one) => !known.includes(one));
  if (wrong !== undefined) {
    console.error(`--${name} ${wrong}: there are ${known.join(', ')}`);
    process.exit(2);
  }
  return new Set(asked);
}

const wanted = {
  fault: chosen('fault', faults, values.fault),
  victim: chosen('victim', victims, values.victim),
  phase: chosen('phase', phases, values.phase),
};
const selected = cells.filter((cell) => wanted.fault.has(cell.fault) && wanted.victim.has(cell.victim) && wanted.phase.has(cell.phase));
const live = selected.filter(isLive);
const empty = selected.filter((cell): cell is EmptyCell => !isLive(cell));
const times = Number(values.times);
console.log(`${live.length} cells, ${times} times each; ${empty.length} are empty`);
if (values.list) {
  for (const { fault, victim, phase } of live) console.log(`${fault} · ${victim} · ${phase}`);
  console.log(emptySummary(empty));
  process.exit(0);
}

const results: CellResult[] = [];
const dir = values.dir ?? (await mkdtemp(path.join(tmpdir(), 'gwchaos-')));
const file = path.join(path.dirname(fileURLToPath(import.meta.url)), 'results.jsonl');
const lab = await ChaosLab.up(dir);
let stop = false;
process.once('SIGINT', () => {
  stop = true;
});
try {
  // Cells of one kind of guest after the other: only one is there at a time, so that whatever is seen is its own.
  for (const disk of ['shared', 'local'] as const) {
    const some = live.filter(({ phase }) => phaseHolds[phase].disk === disk);
    if (some.length === 0 || stop) continue;
    const guest = await newGuest(lab, disk);
    for (const cell of some) for (let turn = 1; turn <= times && !stop; turn += 1) await one(guest.id, cell, turn);
    if (!stop) await guest.delete();
  }
} finally {
  if (!(values.keep && (stop || results.some(({ passed }) => !passed)))) {
    await lab.down();
    if (values.dir === undefined) await rm(dir, { recursive: true, force: true });
  } else {
    await lab.leave();
    console.log(`the lab is left in ${dir}`);
  }
}
console.log(`\n${summary(results)}\n${emptySummary(empty)}`);
process.exitCode = results.some(({ passed }) => !passed) ? 1 : 0;

async function one(serverId: string, cell: LiveCell, turn: number): Promise<void> {
  const at = new Date().toISOString();
  const result = await runCell(lab, serverId, cell);
  results.push(result);
  appendFileSync(file, `${JSON.stringify({ at, ...result })}\n`);
  const way = result.wayOut === null ? '' : ` (way out: ${result.wayOut})`;
  console.log(
    `${result.passed ? 'passed' : 'FAILED'} ${cell.fault} · ${cell.victim} · ${cell.phase} (${turn}/${times}) ${result.seconds} s: ${result.injury}; ${result.end}${way}`,
  );
  if (result.proof !== '') console.log(`       phase: ${result.proof}`);
  for (const breach of result.breaches) console.log(`       BREACH: ${breach}`);
  if (!result.passed && values.keep) stop = true;
}
