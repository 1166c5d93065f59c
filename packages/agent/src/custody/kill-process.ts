import { kill } from 'node:process';
import type { QemuProcess } from '@godwit/domain/custody/qemu-view';
import { isAlive, kernelBootId } from '../qemu/process-ref.ts';

/** SIGKILL takes a process in uninterruptible storage I/O only when that ends. */
const deathDeadlineMs = 10_000;

/** Whether that very process can still execute; a zombie cannot. */
export const processAlive = ({ pid, startTicks }: QemuProcess): boolean => isAlive({ pid, startTicks, kernelBootId: kernelBootId() });

/**
 * Kills with SIGKILL and returns once the process cannot execute any more. A pid that now belongs to another process is left alone. Throws when the
 * process survives the deadline: then nothing may be built on its death.
 */
export async function killProcess(process: QemuProcess): Promise<void> {
  if (!processAlive(process)) return;
  try {
    kill(process.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await processDead(process, deathDeadlineMs);
}

/** Returns once the process cannot execute any more; throws at the deadline. */
export async function processDead(process: QemuProcess, deadlineMs: number): Promise<void> {
  const until = performance.now() + deadlineMs;
  for (let waitMs = 1; processAlive(process); waitMs = Math.min(waitMs * 2, 100)) {
    if (performance.now() > until) throw new Error(`process ${process.pid} is still alive after ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
