import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Nine times the weight of an ordinary process: enough to be next, not enough to starve anybody. */
const favouredNice = -10;
/** Lowest of the real-time priorities: above every ordinary process, below whatever an administrator has made real-time. */
const realTimePriority = '1';

type Log = { readonly warn: (fields: Record<string, unknown>, message: string) => void };

/**
 * Who is served first by a host's processors while a guest stands still between two hosts. On a busy host the agent, which has a millisecond of work to do then, would wait for its
 * turn behind every guest: some milliseconds each time, and it is woken five times. Everything here is best effort: a host that does not permit it is told once, and moves go on.
 */
export class Precedence {
  readonly #enabled: boolean;
  readonly #log: Log;
  #moves = 0;
  #changing: Promise<void> = Promise.resolve();
  #warned = false;

  constructor(enabled: boolean, log: Log) {
    this.#enabled = enabled;
    this.#log = log;
  }

  /**
   * Runs this process's main thread as SCHED_RR until the returned function has been called as often as this one. The threads and processes that it starts are ordinary
   * (reset on fork), guests above all.
   */
  ofAgent(): () => void {
    this.#moves += 1;
    if (this.#moves === 1) this.#schedule();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#moves -= 1;
      if (this.#moves === 0) this.#schedule();
    };
  }

  /** Favours all threads of a guest's QEMU until the returned function is called; those that it starts meanwhile inherit it, and lose it with the others. */
  ofGuest(pid: number): () => void {
    if (!this.#enabled) return () => undefined;
    let ordinary: number;
    try {
      ordinary = getPriority(pid);
    } catch {
      return () => undefined; // it has died
    }
    if (ordinary <= favouredNice) return () => undefined;
    this.#setAll(pid, favouredNice);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#setAll(pid, ordinary);
    };
  }

  /** Ends what an earlier agent may have begun and not ended. */
  ordinary(pid: number): void {
    if (!this.#enabled) return;
    try {
      const own = Math.max(0, getPriority());
      if (getPriority(pid) < own) this.#setAll(pid, own);
    } catch {
      // it has died
    }
  }

  #schedule(): void {
    if (!this.#enabled) return;
    // One after the other: the last one stands.
    this.#changing = this.#changing.then(async () => {
      const policy = this.#moves > 0 ? ['--rr', '--reset-on-fork', '--pid', realTimePriority] : ['--other', '--pid', '0'];
      await run('chrt', [...policy, String(process.pid)]).then(
        () => undefined,
        (error: unknown) => this.#refused(error),
      );
    });
  }

  #setAll(pid: number, nice: number): void {
    let threads: readonly string[] = [];
    try {
      threads = readdirSync(`/proc/${pid}/task`);
    } catch {
      return; // it has died
    }
    for (const thread of threads) {
      try {
        setPriority(Number(thread), nice);
      } catch (error) {
        if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') this.#refused(error);
      }
    }
  }

  #refused(error: unknown): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#log.warn(
      { err: error },
      'this host does not let the agent have precedence during a switchover: on busy processors guests stand still for longer',
    );
  }
}
