import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ProcessSpec } from '../lab-plan.ts';
import { killIdentity, readIdentity } from '../process-identity.ts';
import { countQuickDeaths, restartDelayMs } from './restart-policy.ts';

/** running → (dies) → waiting → running …; stopped only on request. `frozen` is a running one under SIGSTOP. */
export type ProcessState = 'running' | 'frozen' | 'waiting' | 'stopped';

export interface ProcessReport {
  readonly name: string;
  readonly host?: string;
  readonly state: ProcessState;
  readonly pid?: number;
  readonly restarts: number;
  /** Exit code or signal of the last death, in words. */
  readonly lastExit?: string;
  readonly clockSkewMs: number;
}

export interface SupervisedProcessFolders {
  readonly logs: string;
  readonly run: string;
}

/** How long a process may take to end by itself on SIGTERM before it is killed. */
const gracePeriodMs = 5_000;

/**
 * One process that is started again when it dies, until `stop` is called. It writes its pid and start time to
 * <run>/<name>.pid, and begins by ending the process that such a file names: a supervisor that was killed leaves its children
 * running, and two agents of one host must never run.
 */
export class SupervisedProcess {
  readonly spec: ProcessSpec;
  readonly #folders: SupervisedProcessFolders;
  readonly #publicFd: number | undefined;
  readonly #log: (line: string) => void;
  #child: ChildProcess | undefined;
  #wanted = false;
  #frozen = false;
  #timer: NodeJS.Timeout | undefined;
  #startedAtMs = 0;
  #quickDeaths = 0;
  #restarts = 0;
  #lastExit: string | undefined;
  #clockSkewMs = 0;

  constructor(spec: ProcessSpec, folders: SupervisedProcessFolders, publicFd: number | undefined, log: (line: string) => void) {
    this.spec = spec;
    this.#folders = folders;
    this.#publicFd = publicFd;
    this.#log = log;
  }

  get report(): ProcessReport {
    const state = this.#child === undefined ? (this.#wanted ? 'waiting' : 'stopped') : this.#frozen ? 'frozen' : 'running';
    return {
      name: this.spec.name,
      ...(this.spec.host === undefined ? {} : { host: this.spec.host }),
      state,
      ...(this.#child?.pid === undefined ? {} : { pid: this.#child.pid }),
      restarts: this.#restarts,
      ...(this.#lastExit === undefined ? {} : { lastExit: this.#lastExit }),
      clockSkewMs: this.#clockSkewMs,
    };
  }

  /** Starts it when it does not run. When it resolves, the process exists (not: is ready). */
  async start(): Promise<void> {
    this.#wanted = true;
    this.#quickDeaths = 0;
    clearTimeout(this.#timer);
    if (this.#child !== undefined) return;
    const left = await readIdentity(this.#pidFile);
    if (left !== undefined) await killIdentity(left);
    this.#spawn();
  }

  /** Ends it, by SIGTERM and after five seconds SIGKILL, or at once; it stays down. Resolves when it is gone. */
  async stop(how: 'gently' | 'at once'): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    // A stopped process takes no SIGTERM before it is continued.
    if (this.#frozen) child.kill('SIGCONT');
    child.kill(how === 'gently' ? 'SIGTERM' : 'SIGKILL');
    const timer = setTimeout(() => child.kill('SIGKILL'), gracePeriodMs);
    await gone;
    clearTimeout(timer);
  }

  /** SIGKILL, after which it is started again as after any death. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.kill('SIGKILL');
    await gone;
  }

  freeze(): void {
    if (this.#child?.kill('SIGSTOP') === true) this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    this.#child?.kill('SIGCONT');
  }

  /** Takes effect at the next start. */
  setClockSkewMs(skewMs: number): void {
    this.#clockSkewMs = skewMs;
  }

  get #pidFile(): string {
    return path.join(this.#folders.run, `${this.spec.name}.pid`);
  }

  #spawn(): void {
    if (!this.#wanted || this.#child !== undefined) return;
    const { spec } = this;
    const command = spec.namespace === undefined ? spec.command : ['ip', 'netns', 'exec', spec.namespace, ...spec.command];
    const [file, ...args] = command as [string, ...string[]];
    const log = openSync(path.join(this.#folders.logs, `${spec.name}.log`), 'a');
    const passesSocket = spec.inheritsPublicSocket && this.#publicFd !== undefined;
    try {
      this.#startedAtMs = performance.now();
      const child = spawn(file, args, {
        // Its own session: a signal to the supervisor's group must not end a host's agent with it.
        detached: true,
        cwd: '/',
        env: {
          ...process.env,
          ...spec.environment,
          ...(passesSocket ? { LISTEN_FDS: '1' } : {}),
          ...(this.#clockSkewMs === 0 ? {} : { GODWIT_CLOCK_SKEW_MS: String(this.#clockSkewMs) }),
        },
        stdio: ['ignore', log, log, ...(passesSocket ? [this.#publicFd ?? 'ignore'] : [])],
      });
      this.#child = child;
      this.#frozen = false;
      let ended = false;
      const end = (how: string): void => {
        if (ended) return;
        ended = true;
        this.#died(how);
      };
      child.once('error', (error) => end(error.message));
      child.once('close', (code, signal) => end(signal ?? `exit ${code ?? 'unknown'}`));
      if (child.pid !== undefined) this.#writePidFile(child.pid);
    } finally {
      closeSync(log);
    }
  }

  #writePidFile(pid: number): void {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      writeFileSync(this.#pidFile, `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}\n`);
    } catch {
      // It died already; its close event says so.
    }
  }

  #died(how: string): void {
    this.#child = undefined;
    this.#frozen = false;
    this.#lastExit = how;
    rmSync(this.#pidFile, { force: true });
    if (!this.#wanted) return;
    this.#restarts += 1;
    this.#quickDeaths = countQuickDeaths(this.#quickDeaths, performance.now() - this.#startedAtMs);
    const delayMs = restartDelayMs(this.#quickDeaths);
    this.#log(`${this.spec.name} ended (${how}); starting it again in ${delayMs} ms`);
    if (delayMs === 0) this.#spawn();
    else this.#timer = setTimeout(() => this.#spawn(), delayMs);
  }
}
