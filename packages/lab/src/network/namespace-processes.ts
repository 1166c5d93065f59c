import { readdir, readlink, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../lab-error.ts';
import { processIdentity } from '../process-identity.ts';

/**
 * The processes whose network namespace is the named one, found by the namespace's identity (/proc/PID/ns/net), not by
 * parentage: a QEMU whose agent died is found too. Zombies are not counted: they run nothing. Empty when there is no such namespace.
 */
export async function namespaceProcesses(namespace: string): Promise<readonly number[]> {
  const identity = await stat(`/run/netns/${namespace}`).catch(() => undefined);
  if (identity === undefined) return [];
  const wanted = `net:[${identity.ino}]`;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: number[] = [];
  for (const pid of pids) {
    // The process may end while we look; then it is not ours to kill.
    const link = await readlink(`/proc/${pid}/ns/net`).catch(() => undefined);
    if (link === wanted && (await processIdentity(pid)) !== undefined) found.push(pid);
  }
  return found;
}

/** Sends a signal to all of them; processes that end meanwhile are not an error. Returns how many there were. */
export async function signalNamespaceProcesses(namespace: string, signal: NodeJS.Signals): Promise<number> {
  const pids = await namespaceProcesses(namespace);
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
  return pids.length;
}

/**
 * SIGKILLs all of them until none is left, also those that were being born meanwhile. When it returns, nothing runs there.
 * Throws LabError NETWORK_COMMAND_FAILED when one survives for 10 s (uninterruptible in the kernel).
 */
export async function killNamespaceProcesses(namespace: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while ((await signalNamespaceProcesses(namespace, 'SIGKILL')) > 0) {
    if (Date.now() > deadline) {
      throw new LabError(
        'NETWORK_COMMAND_FAILED',
        `processes in ${namespace} cannot be ended: ${(await namespaceProcesses(namespace)).join(', ')}`,
      );
    }
    await delay(5);
  }
}
