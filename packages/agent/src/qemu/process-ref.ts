import { readFileSync } from 'node:fs';

/** A process, told apart from any later one with the same pid: a pid is reused, (boot, pid, start time) is not. */
export type ProcessRef = {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks from the kernel's boot to the process's start. */
  readonly startTicks: number;
  /** The kernel's own boot id, never an injected one: start ticks mean nothing across boots of the kernel. */
  readonly kernelBootId: string;
};

/** The kernel's boot id. */
export const kernelBootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** The reference of a process that exists now and is not a zombie; undefined otherwise. */
export function refOf(pid: number): ProcessRef | undefined {
  const stat = readStat(pid);
  return stat && stat.state !== 'Z' && stat.state !== 'X' ? { pid, startTicks: stat.startTicks, kernelBootId: kernelBootId() } : undefined;
}

/**
 * Whether that very process can still execute. A zombie cannot: it is dead although kill(pid, 0) succeeds, which matters because an
 * adopted QEMU is a child of PID 1, and PID 1 may take seconds to reap it.
 */
export function isAlive(ref: ProcessRef): boolean {
  const now = refOf(ref.pid);
  return now !== undefined && now.startTicks === ref.startTicks && now.kernelBootId === ref.kernelBootId;
}

/** Parses /proc/PID/stat; the command name in parentheses may itself hold spaces and parentheses. */
export function parseStat(text: string): { readonly state: string; readonly startTicks: number } {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const startTicks = Number(fields[19]); // field 22 of the file; the first after the name is field 3
  const state = fields[0];
  if (state === undefined || !Number.isSafeInteger(startTicks)) throw new Error(`/proc stat line not understood: ${text.slice(0, 200)}`);
  return { state, startTicks };
}

function readStat(pid: number): { readonly state: string; readonly startTicks: number } | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined; // gone before, or while, we read
    throw error;
  }
}
