import { readdirSync, readFileSync } from 'node:fs';
import { kill } from 'node:process';
import { GodwitError } from '@godwit/domain/errors';
import type { GuestProcess } from '../qemu/guest-process.ts';
import { isAlive, type ProcessRef, refOf } from '../qemu/process-ref.ts';
import { isThrowaway, throwawayDir } from '../qemu/throwaway-guest.ts';

/**
 * The gate for guests without identity: probes and the self-test. Nobody owns them, two copies of one harm nobody, so there is no epoch and no
 * journal. Every entry refuses (CustodyRefused) a guest whose id is not a throwaway one: this is no way around the gate of real guests.
 */
export const throwawayGate = {
  /** Runs the vCPUs. */
  async run(guest: GuestProcess): Promise<void> {
    refuseReal(guest);
    await guest.qmp.execute('cont');
  },

  /** Starts a migration stream; returns when QEMU has accepted the command. */
  async migrate(guest: GuestProcess, args: Readonly<Record<string, unknown>>): Promise<void> {
    refuseReal(guest);
    await guest.qmp.execute('migrate', args);
  },

  /** Lets a guest that stands at pre-switchover go on. */
  async migrateContinue(guest: GuestProcess): Promise<void> {
    refuseReal(guest);
    await guest.qmp.execute('migrate-continue', { state: 'pre-switchover' });
  },

  /** Kills the process (SIGKILL) and returns once it is dead. */
  async discard(guest: GuestProcess): Promise<void> {
    refuseReal(guest);
    killProbe(guest.ref);
    // Neither the process nor its closed monitors keep the event loop alive; this does, until the death is known.
    const hold = setInterval(() => undefined, 1000);
    await guest.ended.finally(() => clearInterval(hold));
    await Promise.all([guest.qmp.close(), guest.oob.close()]);
  },

  /** Kills what probes of a dead agent left running below this state directory, and returns their pids. */
  discardLeftovers(stateDir: string): readonly number[] {
    const left = readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry) && isLeftover(entry, `path=${throwawayDir(stateDir)}/`))
      .map(Number);
    for (const pid of left) {
      const ref = refOf(pid);
      if (ref) killProbe(ref);
    }
    return left;
  },

  /** Kills a `-machine none` process: it has no vCPU at all. */
  discardMachineless(ref: ProcessRef): void {
    const argv = isAlive(ref) ? readFileSync(`/proc/${ref.pid}/cmdline`, 'utf8').split('\0') : [];
    if (argv.length > 0 && argv[argv.indexOf('-machine') + 1] !== 'none')
      throw new GodwitError('CustodyRefused', `process ${ref.pid} is no QEMU without a machine`);
    killProbe(ref);
  },
} as const;

function refuseReal(guest: GuestProcess): void {
  if (!isThrowaway(guest.spec.serverId)) throw new GodwitError('CustodyRefused', `server ${guest.spec.serverId} is no throwaway guest`);
}

/** A QEMU with a throwaway id whose monitor lies below this prefix: another agent's probes, beside ours on one machine, are not ours to end. */
function isLeftover(pid: string, monitorPrefix: string): boolean {
  let argv: string[];
  try {
    argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return false; // gone meanwhile
  }
  return isThrowaway(argv[argv.indexOf('-uuid') + 1] ?? '') && argv.some((argument) => argument.includes(monitorPrefix));
}

function killProbe(ref: ProcessRef): void {
  if (!isAlive(ref)) return;
  try {
    kill(ref.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
