/**
 * `make chaos`: a real lab whose processes, hosts and cables are broken in every phase of a live migration, and whose record, guest, disks and leftovers are judged after each.
 *
 *   make chaos                                                     every cell twice (some two hours)
 *   make chaos ARGS='--phase switchover --victim source-qemu'      some of them
 *   make chaos ARGS='--fault kill --times 1 --keep'                each once; the lab is left for a look when a cell fails
 *   make chaos ARGS='--since HEAD --minutes 10'                    for ten minutes, those that have not passed twice at this commit yet
 *   make chaos ARGS='--since ever'                                 those that did not pass at their newest two runs, whatever was checked out then
 *   make chaos ARGS='--page'                                       chaos/RESULTS.md alone, of what has been run
 *
 * Appends every run to chaos/results.jsonl (or --results FILE), and keeps the lab's logs of those that failed in .cache/chaos. Exit code 1 when a cell failed.
 */
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Blocker } from './blocker.ts';
import { cells, type EmptyCell, faults, isLive, type LiveCell, phases, switchover, victims } from './cells.ts';
import { ChaosLab } from './chaos-lab.ts';
import { newGuest } from './new-guest.ts';
import { passedRunning, pastRuns, resultsOfHere, revision, runsSince } from './past-runs.ts';
import { holdOf } from './phase-points.ts';
import { resultsPage } from './results-page.ts';
import { type CellResult, runCell } from './run-cell.ts';
import { emptySummary, summary } from './summary.ts';

const { values } = parseArgs({
  options: {
    fault: { type: 'string', multiple: true },
    victim: { type: 'string', multiple: true },
    phase: { type: 'string', multiple: true },
    times: { type: 'string', default: '2' },
    since: { type: 'string' },
    minutes: { type: 'string' },
    results: { type: 'string', default: resultsOfHere },
    dir: { type: 'string' },
    keep: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
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

if (values.page) {
  await writePage();
  process.exit(0);
}

const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const results: CellResult[] = [];
const commit = await revision();
const past = values.since === undefined ? [] : await runsSince(values.since, values.results);
/** Since it last failed. */
const passes = (cell: LiveCell): number => passedRunning([...past, ...results].filter((one) => isOf(one, cell)));
const failures = (cell: LiveCell): number => past.filter((one) => !one.passed && isOf(one, cell)).length;
const dir = values.dir ?? (await mkdtemp(path.join(tmpdir(), 'gwchaos-')));
const endsAt = values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;
let interrupted = false;
let lab: ChaosLab | undefined;
let blocker: Blocker | undefined;
process.once('SIGINT', () => {
  interrupted = true;
});
const isOver = (): boolean => interrupted || performance.now() > endsAt || (values.keep && results.some(({ passed }) => !passed));
try {
  for (let turn = 1; turn <= times; turn += 1) {
    // Cells of one kind of guest after the other: only one is there at a time, so that whatever is seen is its own.
    for (const disk of ['shared', 'local'] as const) {
      const due = live
        .filter((cell) => holdOf(cell).disk === disk && passes(cell) < turn)
        // What is known to fail is not in the way of what nobody knows yet.
        .toSorted((a, b) => failures(a) - failures(b));
      let guest: Awaited<ReturnType<typeof newGuest>> | undefined;
      for (const cell of due) {
        if (isOver()) break;
        lab ??= await ChaosLab.up(dir);
        blocker ??= await Blocker.make(lab);
        guest ??= await newGuest(lab, disk);
        const result = await one(lab, blocker, guest.id, cell, turn);
        if (result.passed || values.keep) continue;
        // What a failed cell leaves must not be held against the next.
        await lab.down();
        [lab, blocker, guest] = [undefined, undefined, undefined];
      }
      if (!isOver()) await guest?.delete();
    }
  }
} finally {
  if (values.keep && lab !== undefined && results.some(({ passed }) => !passed)) {
    await lab.leave();
    console.log(`the lab is left in ${dir}`);
  } else {
    await lab?.down();
    if (values.dir === undefined) await rm(dir, { recursive: true, force: true });
  }
}
if (values.results === resultsOfHere) await writePage();
console.log(`\n${summary(results)}\n${emptySummary(empty)}`);
process.exitCode = results.some(({ passed }) => !passed) ? 1 : 0;

async function one(within: ChaosLab, behind: Blocker, serverId: string, cell: LiveCell, turn: number): Promise<CellResult> {
  const at = new Date().toISOString();
  const result = await runCell(within, behind, serverId, cell);
  results.push(result);
  appendFileSync(values.results, `${JSON.stringify({ at, revision: commit, ...result })}\n`);
  const way = result.wayOut === null ? '' : ` (way out: ${result.wayOut})`;
  console.log(
    `${result.passed ? 'passed' : 'FAILED'} ${cell.fault} · ${cell.victim} · ${cell.phase} (${turn}/${times}) ${result.seconds} s: ${result.injury}; ${result.end}${way}`,
  );
  if (result.proof !== '') console.log(`       phase: ${result.proof}`);
  for (const breach of result.breaches) console.log(`       BREACH: ${breach}`);
  if (!result.passed) {
    const kept = path.join(
      repository,
      '.cache',
      'chaos',
      `${at.slice(11, 19).replaceAll(':', '')}-${cell.fault}-${cell.victim}-${cell.phase}`,
    );
    await within.keepTraces(kept);
    console.log(`       logs: ${kept}`);
  }
  return result;
}

/** Of all cells, whichever were chosen now. */
async function writePage(): Promise<void> {
  const none = cells.filter((cell): cell is EmptyCell => !isLive(cell));
  await writeFile(
    path.join(path.dirname(resultsOfHere), 'RESULTS.md'),
    resultsPage(cells.filter(isLive), none, await pastRuns(values.results)),
  );
}

function isOf(one: CellResult, cell: LiveCell): boolean {
  return one.fault === cell.fault && one.victim === cell.victim && one.phase === cell.phase;
}
