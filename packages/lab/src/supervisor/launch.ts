import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../lab-error.ts';
import { labFiles } from '../lab-plan.ts';
import { askSupervisor } from './control-client.ts';
import type { SupervisorStatus } from './control-protocol.ts';

/**
 * Starts the supervisor of the lab whose plan lies in `dir`, detached from this terminal, with the bound public listener.
 * `reaper`, when there is one, becomes its parent: orphans (guests whose agent died) then end as its zombies, reaped
 * at once, and not as those of a PID 1 that may take seconds. When it resolves, the supervisor answers and has started what starts at once.
 */
export async function launchSupervisor(dir: string, publicFd: number | undefined, reaper: string | undefined): Promise<SupervisorStatus> {
  const files = labFiles(dir);
  await mkdir(files.logs, { recursive: true });
  const log = openSync(path.join(files.logs, 'supervisor.log'), 'a');
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, 'main.ts'), dir];
  const [file, ...args] = (reaper === undefined ? command : [reaper, ...command]) as [string, ...string[]];
  let failure: string | undefined;
  try {
    const child = spawn(file, args, {
      detached: true,
      cwd: '/',
      env: { ...process.env, ...(publicFd === undefined ? {} : { LISTEN_FDS: '1' }) },
      stdio: ['ignore', log, log, ...(publicFd === undefined ? [] : [publicFd])],
    });
    child.once('error', (error) => (failure = error.message));
    child.once('exit', (code, signal) => (failure = `it ended with ${signal ?? `exit ${code ?? 'unknown'}`}`));
    child.unref();
  } finally {
    closeSync(log);
  }
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await delay(20)) {
    if (failure !== undefined) break;
    const status = await askSupervisor(dir, { op: 'status' }, 5000).catch(() => undefined);
    if (status !== undefined) return status;
  }
  throw new LabError(
    'SUPERVISOR_FAILED',
    `the lab's supervisor did not start${failure === undefined ? '' : `: ${failure}`}; see ${path.join(files.logs, 'supervisor.log')}`,
  );
}
