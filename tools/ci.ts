// `make test`: the checks, then the stages of the tests. The last line of the output is `N passed, N failed`; the exit code is 0 only
// when nothing failed. A failed check counts as one failure.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHECKS_BUDGET_SECONDS, type Check, checks } from './checks.ts';
import { leftovers, leftSince } from './leftovers.ts';
import { type Run, runCommand } from './run-command.ts';
import { afterSecondLook, allPassed, secondLook, unsteady } from './second-look.ts';
import { countOf, type Report, type Stage, stages } from './stages.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const reports = join(root, '.cache/test');
// The Node that runs this comes first, so that children never meet an older one of the system.
const environment = {
  ...process.env,
  PATH: [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env['PATH'], '/usr/sbin', '/sbin'].join(delimiter),
  CI: 'true',
  // As bin/godwit has it: sixty test files load the same libraries.
  NODE_COMPILE_CACHE: join(root, '.cache/compile'),
  // Children write into pipes; colours are for whoever reads this one's output.
  ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }),
};

const lines: string[] = [];
// Whatever runs is stopped by runCommand; nothing more is begun.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    interrupted = true;
  });
let passed = 0;
let failed = 0;

function record(name: string, seconds: number, budgetSeconds: number, result: string): void {
  const over = seconds > budgetSeconds ? ', OVER BUDGET' : '';
  lines.push(`${name.padEnd(8)} ${seconds.toFixed(1).padStart(7)} s of ${String(budgetSeconds).padStart(4)} s   ${result}${over}`);
}

/** As many at a time as the smallest machine has processors; told in their order. */
const CHECKS_AT_ONCE = 2;

async function runChecks(): Promise<ReadonlySet<Check>> {
  const failures = new Set<Check>();
  const started = performance.now();
  process.stdout.write(`== checks (budget ${CHECKS_BUDGET_SECONDS} s)\n`);
  const waiting = [...checks];
  const done = new Map<Check, Run>();
  const lane = async (): Promise<void> => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      done.set(check, await runCommand(check.command, { cwd: root, env: environment, limitSeconds: 2 * CHECKS_BUDGET_SECONDS }));
      tell();
    }
  };
  let told = 0;
  const tell = () => {
    for (let check = checks[told]; check !== undefined && done.has(check); check = checks[(told += 1)]) {
      const result = done.get(check);
      if (result !== undefined) tellCheck(check, result, failures);
    }
  };
  await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, lane));
  const seconds = (performance.now() - started) / 1000;
  record('checks', seconds, CHECKS_BUDGET_SECONDS, `${checks.length - failures.size} passed, ${failures.size} failed`);
  return failures;
}

function tellCheck(check: Check, result: Run, failures: Set<Check>): void {
  const good = result.exitCode === 0 && !result.timedOut;
  process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${check.name} (${result.seconds.toFixed(1)} s)\n`);
  if (good) {
    passed += 1;
    return;
  }
  failed += 1;
  failures.add(check);
  const end = result.timedOut ? 'a time-out' : `exit code ${result.exitCode}`;
  process.stdout.write(`${result.output}\n${check.command.join(' ')} ended with ${end}\n\n`);
}

function readReport(path: string): Report | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    return null;
  }
}

/** A server that was told to stop has ended by then; where something is left, the wait is lost. */
const LEAVING_MS = 3_000;

/** True when the stage is green. */
async function runStage(stage: Stage): Promise<boolean> {
  process.stdout.write(`\n== ${stage.name}: ${stage.contents} (budget ${stage.budgetSeconds} s)\n`);
  const reportPath = join(reports, `${stage.name}.json`);
  const before = leftovers();
  // The report does not tell of them, and they belong to no file.
  let unhandled = false;
  let end = '';
  const show = (chunk: Buffer): void => {
    process.stdout.write(chunk);
    const text = end + chunk.toString();
    unhandled ||= /Unhandled (Error|Rejection)/.test(text);
    end = text.slice(-40);
  };
  const vitest = (limitSeconds: number, path: string, ...options: readonly string[]): Promise<Run> =>
    runCommand(
      ['vitest', 'run', '--project', stage.name, '--reporter=default', '--reporter=json', `--outputFile.json=${path}`, ...options],
      { cwd: root, env: environment, limitSeconds, show },
    );
  const result = await vitest(2 * stage.budgetSeconds, reportPath);
  const report = readReport(reportPath);
  let count = countOf(report, result.exitCode, result.timedOut);
  let seconds = result.seconds;
  const unsteadyOnes: string[] = [];
  const again = stage.name === 'unit' || interrupted || unhandled ? [] : secondLook(report, result.timedOut, root);
  if (report !== null && again.length > 0) {
    process.stdout.write(`\n== ${stage.name}, again and alone: ${again.join(', ')}\n`);
    const path = join(reports, `${stage.name}-again.json`);
    const second = await vitest(stage.budgetSeconds, path, '--maxWorkers=1', ...again);
    const secondReport = readReport(path);
    seconds += second.seconds;
    if (
      second.exitCode === 0 &&
      !second.timedOut &&
      secondReport !== null &&
      secondReport.numPassedTests > 0 &&
      allPassed(report, secondReport)
    ) {
      count = countOf(afterSecondLook(report, secondReport), 0, false);
      unsteadyOnes.push(...unsteady(report, root));
    }
  }
  passed += count.passed;
  failed += count.failed;
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
  const note = count.note === null ? '' : ` (${count.note})`;
  record(stage.name, seconds, stage.budgetSeconds, `${count.passed} passed, ${count.failed} failed${skipped}${note}`);
  for (const one of unsteadyOnes)
    lines.push(`${''.padEnd(8)} UNSTEADY, failed beside others and passed alone, its first failure is above: ${one}`);
  // Told and not counted: on a machine with several labs another one may have started meanwhile.
  const left = await leftSince(before, LEAVING_MS);
  if (left.length > 0) lines.push(`${''.padEnd(8)} left behind, unless someone else's: ${left.join(', ')}`);
  return count.failed === 0;
}

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const failedChecks = await runChecks();
const typesHold = ![...failedChecks].some((check) => check.name === 'types');
let unitHolds = false;
for (const stage of stages) {
  if (interrupted) {
    lines.push(`${stage.name.padEnd(8)} not run: interrupted`);
    failed += 1;
    continue;
  }
  // Where the types or the fast tests fail, a quarter of an hour of slow ones tells nothing new.
  if (stage.name !== 'unit' && !(typesHold && unitHolds)) {
    lines.push(`${stage.name.padEnd(8)} not run: ${typesHold ? 'the unit tests' : 'the types'} come first`);
    continue;
  }
  const green = await runStage(stage);
  if (stage.name === 'unit') unitHolds = green;
}

const summary = `${passed} passed, ${failed} failed`;
writeFileSync(join(reports, 'summary'), `${summary}\n`);
process.stdout.write(`\n${lines.join('\n')}\n\n${summary}\n`);
process.exitCode = failed === 0 ? 0 : 1;
