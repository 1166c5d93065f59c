import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { checks } from './checks.ts';

// ci.ts runs in a made-up checkout, whose checks and whose vitest are a few lines of shell: they note that they ran, and do what the test says.

// Half a second each; a machine may be busy.
vi.setConfig({ testTimeout: 60_000 });

const tools = fileURLToPath(new URL('.', import.meta.url));
let checkout: string;
let started: ChildProcess | undefined;

beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'gw-ci-'));
  await mkdir(join(checkout, 'tools'));
  await mkdir(join(checkout, 'node_modules/.bin'), { recursive: true });
  for (const file of ['ci.ts', 'checks.ts', 'stages.ts', 'second-look.ts', 'leftovers.ts', 'run-command.ts'])
    await copyFile(join(tools, file), join(checkout, 'tools', file));
  for (const { command } of checks) {
    if (command[0] === 'node') await writeFile(join(checkout, command[1] ?? ''), '');
    else await program(command[0], 'exit 0');
  }
  await vitest('report 2 0; exit 0');
});
afterEach(async () => {
  started?.kill('SIGKILL');
  started = undefined;
  await rm(checkout, { recursive: true, force: true });
});

async function program(name: string, body: string): Promise<void> {
  const path = join(checkout, 'node_modules/.bin', name);
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
}

/** A vitest that runs `body`, where `$stage` is the project's name and `report PASSED FAILED` leaves a report. */
const vitest = (body: string) =>
  program(
    'vitest',
    `stage=$3; for word in "$@"; do case $word in --outputFile.json=*) file=\${word#*=};; esac; done
echo "$stage" >>'${checkout}/stages'
report() { printf '{"success":%s,"numTotalTests":%s,"numPassedTests":%s,"numFailedTests":%s,"numPendingTests":0}' "$([ $2 = 0 ] && echo true || echo false)" $(($1 + $2)) $1 $2 >"$file"; }
file_report() { printf '{"success":%s,"numTotalTests":2,"numPassedTests":%s,"numFailedTests":%s,"numPendingTests":0,"testResults":[{"name":"%s","status":"%s","assertionResults":[{"fullName":"it holds","status":"%s"},{"fullName":"it stands","status":"passed"}]}]}' $2 $3 $4 "${checkout}/$1" $5 $5 >"$file"; }
${body}`,
  );
/** The stage \`real\` has one file, in which one of two tests fails at the first run, or at both. */
const failing = (path: string, times: 1 | 2, says = ':') =>
  vitest(`[ $stage = real ] || { report 2 0; exit 0; }
echo "$*" >>'${checkout}/asked'
if [ $(wc -l <'${checkout}/asked') -le ${times} ]; then ${says}; file_report ${path} false 1 1 failed; exit 1; fi
file_report ${path} true 2 0 passed; exit 0`);

function start(): { readonly child: ChildProcess; readonly output: () => string } {
  let text = '';
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(checkout, 'tools/ci.ts')], { stdio: 'pipe' });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  started = child;
  return { child, output: () => text };
}

async function ci(): Promise<{ readonly code: number | null; readonly last: string; readonly output: string; readonly ran: string }> {
  const { child, output } = start();
  const [code] = (await once(child, 'close')) as [number | null];
  const ran = await readFile(join(checkout, 'stages'), 'utf8').catch(() => '');
  return { code, last: output().trim().split('\n').at(-1) ?? '', output: output(), ran: ran.trim().replaceAll('\n', ' ') };
}

it('runs the checks and every stage in order; the last line counts them, and is kept for whoever runs it', async () => {
  const { code, last, ran } = await ci();
  expect({ code, last, ran }).toEqual({ code: 0, last: `${checks.length + 6} passed, 0 failed`, ran: 'unit real e2e' });
  expect(await readFile(join(checkout, '.cache/test/summary'), 'utf8')).toBe(`${last}\n`);
});

it('a failed check is one failure and shows what it said; only failed types keep the slow stages back', async () => {
  await program('knip', 'echo an unused export; exit 1');
  expect(await ci()).toMatchObject({
    code: 1,
    last: `${checks.length + 5} passed, 1 failed`,
    output: expect.stringContaining('an unused export'),
    ran: 'unit real e2e',
  });
  await rm(join(checkout, 'stages'));
  await program('tsc', 'exit 2');
  await program('knip', 'exit 0');
  // Both programs of types fail.
  expect(await ci()).toMatchObject({ code: 1, last: `${checks.length} passed, 2 failed`, ran: 'unit' });
});

it('failed fast tests keep the slow stages back; a stage that ends without a report is a failure', async () => {
  await vitest('report 1 1; exit 1');
  expect(await ci()).toMatchObject({ code: 1, last: `${checks.length + 1} passed, 1 failed`, ran: 'unit' });
  await rm(join(checkout, 'stages'));
  await vitest('[ $stage = real ] && exit 1; report 2 0; exit 0');
  expect(await ci()).toMatchObject({ code: 1, last: `${checks.length + 4} passed, 1 failed`, ran: 'unit real e2e' });
});

it('a file of slow tests that failed is run once more, alone; that it passed then is told by name', async () => {
  await failing('packages/a/src/b.real.test.ts', 1);
  const { code, last, output, ran } = await ci();
  expect({ code, last, ran }).toEqual({ code: 0, last: `${checks.length + 6} passed, 0 failed`, ran: 'unit real real e2e' });
  expect(output).toMatch(/UNSTEADY.*: packages\/a\/src\/b\.real\.test\.ts: it holds/);
  const asked = (await readFile(join(checkout, 'asked'), 'utf8')).trim().split('\n');
  expect(asked[1]).toMatch(/--maxWorkers=1 packages\/a\/src\/b\.real\.test\.ts$/);
});

it('an error that belongs to no test is not forgiven with one that does', async () => {
  await failing('packages/a/src/b.real.test.ts', 1, 'echo Unhandled Rejection');
  expect(await ci()).toMatchObject({ code: 1, last: `${checks.length + 5} passed, 1 failed`, ran: 'unit real e2e' });
});

it('one that fails again has failed, and one of custody at once', async () => {
  await failing('packages/a/src/b.real.test.ts', 2);
  expect(await ci()).toMatchObject({ code: 1, last: `${checks.length + 5} passed, 1 failed`, ran: 'unit real real e2e' });
  for (const file of ['stages', 'asked']) await rm(join(checkout, file));
  await failing('packages/agent/src/custody/gate.real.test.ts', 1);
  expect(await ci()).toMatchObject({ code: 1, last: `${checks.length + 5} passed, 1 failed`, ran: 'unit real e2e' });
});

it('takes a running stage along when it is told to end, and begins no other', async () => {
  await vitest(`[ $stage = unit ] && { report 2 0; exit 0; }; sleep 300 & echo "$! $$" >'${checkout}/pids'; echo waiting; wait`);
  const { child, output } = start();
  await expect.poll(output, { timeout: 15_000 }).toContain('waiting');
  const pids = (await readFile(join(checkout, 'pids'), 'utf8')).trim().split(' ').map(Number);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code).not.toBe(0);
  const alive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  await expect.poll(() => pids.filter(alive), { timeout: 15_000 }).toEqual([]);
  expect(await readFile(join(checkout, 'stages'), 'utf8')).toBe('unit\nreal\n');
});
