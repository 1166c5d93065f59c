import { readFile } from 'node:fs/promises';

/** A pid alone may have been given to someone else; with its start time (clock ticks since boot, proc(5) field 22) it is one process. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: string;
}

/**
 * The identity of a running process; undefined when there is none, or only a zombie. A zombie whose other threads are still ending
 * counts as running: its files, and so its ports, are closed only with the last of them.
 */
export async function processIdentity(pid: number): Promise<ProcessIdentity | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // The state is field 3, so field 20 (threads) is the 17th after it and field 22 the 19th.
  const threads = Number(rest[16]);
  const startTicks = rest[18];
  if (state === undefined || state === '' || startTicks === undefined) return undefined;
  if (state === 'X' || (state === 'Z' && threads <= 1)) return undefined;
  return { pid, startTicks };
}

/** True when exactly that process still runs. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await processIdentity(identity.pid))?.startTicks === identity.startTicks;
}

/** What writeFile put into a pid file, or undefined. */
export async function readIdentity(file: string): Promise<ProcessIdentity | undefined> {
  const [pid, startTicks] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
  return pid !== undefined && /^[1-9]\d*$/.test(pid) && startTicks !== undefined ? { pid: Number(pid), startTicks } : undefined;
}

/** SIGKILLs exactly that process; nothing happens when it is gone. Resolves when it runs no more. */
export async function killIdentity(identity: ProcessIdentity): Promise<void> {
  while (await isAlive(identity)) {
    try {
      process.kill(identity.pid, 'SIGKILL');
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
