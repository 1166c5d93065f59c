// `make test`: the checks, then the stages of the tests. The last line of the output is `N passed, N failed`; the exit code is 0 only
// when nothing failed. A failed check counts as one failure.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHECKS_BUDGET_SECONDS, type Check, checks } from './checks.ts';
import { leftovers } from './leftovers.ts';
import { countOf, type Report, type Stage, stages } from './stages.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const reports = join(root, '.cache/test');
// The Node that runs this comes first, so that children never meet an older one of the system.
const environment = {
  ...process.env,
  PATH: [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env['PATH'], '/usr/sbin', '/sbin'].join(delimiter),
  CI: 'true',
  // Children write into pipes; colours are for whoever reads this one's output.
  ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }),
};

interface Run {
  readonly exitCode: number;
  readonly output: string;
  readonly seconds: number;
  readonly timedOut: boolean;
}

/** Runs a command to its end, in a process group of its own so that a hang takes nothing else along. `show` passes its output on at once. */
function run(command: readonly [string, ...string[]], limitSeconds: number, show: boolean): Promise<Run> {
  const started = performance.now();
  const child = spawn(command[0], command.slice(1), { cwd: root, env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let timedOut = false;
  const take = (chunk: Buffer) => {
    if (show) process.stdout.write(chunk);
    else output += chunk.toString();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const stop = (signal: NodeJS.Signals) => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // The group is gone already.
    }
  };
  const interrupt = () => stop('SIGTERM');
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const limit = setTimeout(() => {
    timedOut = true;
    stop('SIGTERM');
    setTimeout(stop, 10_000, 'SIGKILL').unref();
  }, limitSeconds * 1000);
  return new Promise((resolve) => {
    const finish = (exitCode: number) => {
      clearTimeout(limit);
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
      resolve({ exitCode, output, seconds: (performance.now() - started) / 1000, timedOut });
    };
    child.on('error', (error) => {
      output += `${error.message}\n`;
      finish(127);
    });
    child.on('close', (code) => finish(code ?? 1));
  });
}

const lines: string[] = [];
let passed = 0;
let failed = 0;

function record(name: string, seconds: number, budgetSeconds: number, result: string): void {
  const over = seconds > budgetSeconds ? ', OVER BUDGET' : '';
  lines.push(`${name.padEnd(8)} ${seconds.toFixed(1).padStart(7)} s of ${String(budgetSeconds).padStart(4)} s   ${result}${over}`);
}

async function runChecks(): Promise<ReadonlySet<Check>> {
  const failures = new Set<Check>();
  let seconds = 0;
  process.stdout.write(`== checks (budget ${CHECKS_BUDGET_SECONDS} s)\n`);
  for (const check of checks) {
    const result = await run(check.command, 2 * CHECKS_BUDGET_SECONDS, false);
    seconds += result.seconds;
    const good = result.exitCode === 0 && !result.timedOut;
    process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${check.name} (${result.seconds.toFixed(1)} s)\n`);
    if (good) {
      passed += 1;
    } else {
      failed += 1;
      failures.add(check);
      process.stdout.write(
        `${result.output}\n${check.command.join(' ')} ended with ${result.timedOut ? 'a time-out' : `exit code ${result.exitCode}`}\n\n`,
      );
    }
  }
  record('checks', seconds, CHECKS_BUDGET_SECONDS, `${checks.length - failures.size} passed, ${failures.size} failed`);
  return failures;
}

function readReport(path: string): Report | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    return null;
  }
}

/** True when the stage is green. */
async function runStage(stage: Stage): Promise<boolean> {
  process.stdout.write(`\n== ${stage.name}: ${stage.contents} (budget ${stage.budgetSeconds} s)\n`);
  const reportPath = join(reports, `${stage.name}.json`);
  const before = leftovers();
  const result = await run(
    ['vitest', 'run', '--project', stage.name, '--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`],
    2 * stage.budgetSeconds,
    true,
  );
  const count = countOf(readReport(reportPath), result.exitCode, result.timedOut);
  passed += count.passed;
  failed += count.failed;
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
  const note = count.note === null ? '' : ` (${count.note})`;
  record(stage.name, result.seconds, stage.budgetSeconds, `${count.passed} passed, ${count.failed} failed${skipped}${note}`);
  // Told and not counted: on a machine with several labs another one may have started meanwhile.
  const left = [...leftovers()].filter((item) => !before.has(item));
  if (left.length > 0) lines.push(`${''.padEnd(8)} left behind, unless someone else's: ${left.join(', ')}`);
  return count.failed === 0;
}

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const failedChecks = await runChecks();
const typesHold = ![...failedChecks].some((check) => check.name === 'types');
let unitHolds = false;
for (const stage of stages) {
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
