import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { GodwitError } from '@godwit/domain/errors';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { commandLine, type Launch, type TlsCredentials } from './command-line.ts';
import { segmentPath, tail, trimConsole } from './console-log.ts';
import { addedMemory, claimedMib } from './memory-device.ts';
import { isMonitorNote } from './monitor-socket.ts';
import { isAlive, type ProcessRef, refOf } from './process-ref.ts';
import { connectQmp, type QmpClient, QmpClosed } from './qmp-client.ts';
import { guestsDir, type RunDir, runDir } from './run-dir.ts';
import { presentVcpus } from './vcpu-devices.ts';

/** How a QEMU process ended. `vanished`: it was adopted, so only its parent could know. */
export type ProcessEnd =
  | { readonly kind: 'exited'; readonly code: number; readonly lastLines: readonly string[] }
  | { readonly kind: 'signalled'; readonly signal: string; readonly lastLines: readonly string[] }
  | { readonly kind: 'vanished'; readonly lastLines: readonly string[] };

/** A living QEMU of ours with both monitors connected. Nothing here can make it run or end: that is custody's. */
export type GuestProcess = {
  readonly spec: GuestSpec;
  readonly run: RunDir;
  readonly ref: ProcessRef;
  /** For everything ordinary. */
  readonly qmp: QmpClient;
  /** Kept free, so that `yank` and its like go through (out of band) while the main loop hangs. */
  readonly oob: QmpClient;
  /** Resolves once the process cannot execute any more (a zombie counts as dead); never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** From spawn to both monitors being usable, or how long adoption took. */
  readonly readyMs: number;
};

export type StartOptions = {
  readonly qemuBinary: string;
  readonly stateDir: string;
  /** Name of the run directory; absent: the server's id, as adoption expects. */
  readonly runName?: string;
  /** Custody epoch of this process: names its console segment. */
  readonly epoch: number;
  readonly incoming: boolean;
  readonly imageLocking: boolean;
  readonly sandbox: boolean;
  readonly vhostNet: boolean;
  readonly tls: readonly TlsCredentials[];
  /** Limit from spawn to usable monitors. */
  readonly deadlineMs: number;
};

/** From a hung-up monitor to the end of its process. */
const dyingMs = 1000;
const trimEveryMs = 60_000;
const logTailBytes = 4096;
const logTailLines = 12;

/**
 * Starts a QEMU in a session of its own, so that it outlives the agent. When this returns, the process lives with its vCPUs stopped, its spec and
 * process reference are on disk, and both monitors answer.
 *
 * Throws GodwitError Conflict while an earlier process of this guest lives (its sockets are not touched then), BadRequest for a spec that cannot
 * be run, GuestStartFailed with QEMU's own last words when it exits, or is not ready within the deadline: then `details.ref` names the
 * process that custody has to discard. Its vCPUs are stopped in every case.
 */
export async function startGuest(spec: GuestSpec, options: StartOptions): Promise<GuestProcess> {
  const startedAt = performance.now();
  const run = withConsoleOf(runDir(options.stateDir, options.runName ?? spec.serverId), spec);
  const earlier = findProcess(run);
  if (earlier)
    throw new GodwitError('Conflict', `a QEMU of server ${spec.serverId} still lives on this host (pid ${earlier.pid})`, {
      living: earlier,
    });
  const argv = commandLine(spec, launchOf(run, options));
  await mkdir(run.dir, { recursive: true, mode: 0o700 });
  await mkdir(run.consoleDir, { recursive: true, mode: 0o700 });
  for (const stale of [run.pidFile, run.qmpSocket, run.oobSocket, run.consoleSocket, run.vncSocket, run.agentSocket])
    await rm(stale, { force: true });
  await writeDurably(run.specFile, JSON.stringify(spec));

  const log = openSync(run.qemuLog, 'a', 0o600);
  // A small environment: QEMU needs none of the agent's, and /proc shows it to others.
  const child = spawn(options.qemuBinary, argv, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    cwd: '/',
  });
  closeSync(log);
  const ended = once(child, 'exit').then(
    ([code, signal]: unknown[]) =>
      endOf(run, typeof signal === 'string' ? { kind: 'signalled', signal } : { kind: 'exited', code: Number(code) }),
    (error: Error) => ({ kind: 'exited', code: -1, lastLines: [error.message] }) satisfies ProcessEnd,
  );
  child.on('error', () => undefined); // what matters of it is in `ended`
  const ref = child.pid === undefined ? undefined : refOf(child.pid);
  if (!ref) throw startFailed(spec, await ended, undefined);
  await writeDurably(run.pidFile, JSON.stringify(ref));

  const died = new AbortController();
  void ended.then(() => died.abort());
  const monitors = await connectBoth(run, options.deadlineMs, died.signal).catch((error: unknown) => error as Error);
  if (monitors instanceof Error) {
    // A monitor that hung up means a process about to end: its last words are the cause. One that is silent is left for custody to judge.
    const end = isAlive(ref) ? await Promise.race([ended, pause(monitors instanceof QmpClosed ? dyingMs : 0)]) : await ended;
    child.unref();
    throw end
      ? startFailed(spec, end, ref)
      : new GodwitError(
          'GuestStartFailed',
          `QEMU of server ${spec.serverId} is not ready: ${monitors.message}`,
          { ref },
          { cause: monitors },
        );
  }
  child.unref(); // the agent may end while its guests run on
  keepConsoleSmall(run, ended);
  return { spec, run, ref, ...monitors, ended, readyMs: performance.now() - startedAt };
}

/** What is left of a guest on this host after the agent's own death. */
export type Adoption =
  | { readonly kind: 'adopted'; readonly process: GuestProcess }
  /** The process lives, but its monitors do not answer: a fact to report, and custody's to resolve. */
  | { readonly kind: 'unresponsive'; readonly name: string; readonly ref: ProcessRef; readonly cause: Error }
  /** No process; `ref` is the one that was recorded, if it was. */
  | { readonly kind: 'gone'; readonly name: string; readonly ref: ProcessRef | undefined; readonly lastLines: readonly string[] };

/**
 * Looks at every guest folder and connects again to each QEMU that lives, found by its command line as well as by the recorded pid, so that
 * one spawned in the instant before the agent died is found too. Changes nothing.
 */
export async function adoptGuests(stateDir: string, deadlineMs: number): Promise<readonly Adoption[]> {
  const names = existsSync(guestsDir(stateDir)) ? readdirSync(guestsDir(stateDir)) : [];
  return Promise.all(names.map((name) => adoptGuest(stateDir, name, deadlineMs)));
}

/** As adoptGuests, for one guest. */
export async function adoptGuest(stateDir: string, name: string, deadlineMs: number): Promise<Adoption> {
  const startedAt = performance.now();
  const run = runDir(stateDir, name);
  const ref = findProcess(run);
  if (!ref) return { kind: 'gone', name, ref: recordedRef(run), lastLines: await lastLogLines(run) };
  const dead = new AbortController();
  try {
    const noted = JSON.parse(await readFile(run.specFile, 'utf8')) as GuestSpec;
    const monitors = await connectBoth(run, deadlineMs, dead.signal);
    const spec = await asItRuns(noted, monitors);
    const ended = monitors.qmp.closed.then(() => untilDead(ref)).then(() => endOf(run, { kind: 'vanished' }));
    return {
      kind: 'adopted',
      process: { spec, run: withConsoleOf(run, spec), ref, ...monitors, ended, readyMs: performance.now() - startedAt },
    };
  } catch (error) {
    if (!isAlive(ref)) return { kind: 'gone', name, ref, lastLines: await lastLogLines(run) };
    return { kind: 'unresponsive', name, ref, cause: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** The spec with the vCPUs and the memory that QEMU has: the agent that gave it some may have died before it wrote so down. When QEMU does not say, it is left as it was found. */
async function asItRuns(noted: GuestSpec, { qmp, oob }: Monitors): Promise<GuestSpec> {
  if (noted.maxVcpus === undefined && noted.maxRamMib === undefined) return noted;
  try {
    return {
      ...noted,
      ...(noted.maxVcpus !== undefined && { vcpus: await presentVcpus(qmp) }),
      ...(noted.maxRamMib !== undefined && { addedRamMib: claimedMib(await addedMemory(qmp)) }),
    };
  } catch (error) {
    await Promise.all([qmp.close(), oob.close()]);
    throw error;
  }
}

/** Writes down that the devices of a running guest have changed: an agent that adopts it finds it so. */
export async function rewriteSpec(process: Pick<GuestProcess, 'run'>, spec: GuestSpec): Promise<void> {
  await writeDurably(process.run.specFile, JSON.stringify(spec));
}

/** The living QEMU that serves this run directory, if any: the recorded one, or one whose command line names its monitor socket. */
export function findProcess(run: RunDir): ProcessRef | undefined {
  const recorded = recordedRef(run);
  if (recorded && isAlive(recorded)) return recorded;
  const needle = `path=${run.qmpSocket.replaceAll(',', ',,')},`;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    let argv: string[];
    try {
      argv = readFileSync(`/proc/${entry}/cmdline`, 'latin1').split('\0');
    } catch {
      continue; // gone meanwhile
    }
    if (argv.some((argument, i) => argv[i - 1] === '-chardev' && Buffer.from(argument, 'latin1').toString('utf8').includes(needle))) {
      const ref = refOf(Number(entry));
      if (ref) return ref;
    }
  }
  return undefined;
}

/** QEMU's last lines on stderr: the cause, as far as it told one. */
export async function lastLogLines(run: RunDir): Promise<readonly string[]> {
  const text = (await tail(run.qemuLog, logTailBytes)).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !isMonitorNote(line))
    .slice(-logTailLines);
}

function launchOf(run: RunDir, options: StartOptions): Launch {
  const { incoming, imageLocking, sandbox, vhostNet, tls } = options;
  const { qmpSocket, oobSocket, consoleSocket, vncSocket, agentSocket } = run;
  return {
    qmpSocket,
    oobSocket,
    consoleSocket,
    vncSocket,
    agentSocket,
    consoleLog: segmentPath(run.consoleDir, options.epoch),
    incoming,
    imageLocking,
    sandbox,
    vhostNet,
    tls,
  };
}

/** Until the process is dead; looking at two files once a minute costs nothing, and in a minute even a flood is some hundred MiB at most. */
function keepConsoleSmall(run: RunDir, ended: Promise<unknown>): void {
  const timer = setInterval(() => {
    // A pool that does not answer now is looked at again in a minute.
    trimConsole(run.consoleDir).catch(() => undefined);
  }, trimEveryMs).unref();
  void ended.then(() => clearInterval(timer));
}

const withConsoleOf = (run: RunDir, spec: GuestSpec): RunDir =>
  spec.consoleDir === undefined ? run : { ...run, consoleDir: spec.consoleDir };

type Monitors = { readonly qmp: QmpClient; readonly oob: QmpClient };

async function connectBoth(run: RunDir, deadlineMs: number, signal: AbortSignal): Promise<Monitors> {
  const [qmp, oob] = await Promise.allSettled([
    connectQmp(run.qmpSocket, { deadlineMs, signal }),
    connectQmp(run.oobSocket, { deadlineMs, signal }),
  ]);
  if (qmp.status === 'fulfilled' && oob.status === 'fulfilled') return { qmp: qmp.value, oob: oob.value };
  if (qmp.status === 'fulfilled') await qmp.value.close();
  if (oob.status === 'fulfilled') await oob.value.close();
  throw qmp.status === 'rejected' ? qmp.reason : oob.status === 'rejected' ? oob.reason : new Error('unreachable');
}

/**
 * A process that is not our child cannot be waited for, so /proc is read until it is dead. Its monitor has just closed, which for QEMU
 * means that it is ending: within a few ms, unless it hangs in the kernel on its storage.
 */
async function untilDead(ref: ProcessRef): Promise<void> {
  for (let waitMs = 2; isAlive(ref); waitMs = Math.min(waitMs * 2, 250))
    await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
}

async function endOf(
  run: RunDir,
  how: { kind: 'exited'; code: number } | { kind: 'signalled'; signal: string } | { kind: 'vanished' },
): Promise<ProcessEnd> {
  return { ...how, lastLines: await lastLogLines(run).catch(() => []) };
}

function startFailed(spec: GuestSpec, end: ProcessEnd, ref: ProcessRef | undefined): GodwitError {
  const how = end.kind === 'exited' ? `exited with code ${end.code}` : end.kind === 'signalled' ? `was ended by ${end.signal}` : 'vanished';
  const words = lastWords(end.lastLines);
  return new GodwitError('GuestStartFailed', `QEMU of server ${spec.serverId} ${how}: ${words}`, { end, ref });
}

/** QEMU's last error as one sentence: its message, without time and program name, and the lines without a time that go on with it. */
export function lastWords(lines: readonly string[]): string {
  const stamped = /^\d{4}-\d\d-\d\dT\S+ \S*?qemu\S*: /;
  const start = lines.findLastIndex((line) => stamped.test(line) && !line.includes(': warning: '));
  const words = start === -1 ? lines.slice(-1) : lines.slice(start);
  return words.length === 0
    ? 'it said nothing'
    : words
        .filter((line) => !line.includes(': warning: '))
        .map((line) => line.replace(stamped, ''))
        .join(' ');
}

function recordedRef(run: RunDir): ProcessRef | undefined {
  try {
    return JSON.parse(readFileSync(run.pidFile, 'utf8')) as ProcessRef;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const pause = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), ms));

/** A reader never sees half a file, whenever the agent dies. */
async function writeDurably(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
