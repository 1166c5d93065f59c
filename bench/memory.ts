import { readFile } from 'node:fs/promises';
import type { LabPlan } from '@godwit/lab/lab-plan';
import { namespaceProcesses } from '@godwit/lab/network/namespace-processes';

/** Proportional set sizes (shared pages divided among their users), in MiB, from /proc/PID/smaps_rollup. */
export type ResidentMemory = { readonly controllerMib: number; readonly agentsMib: readonly number[] };

/** What the control plane of a lab holds now: controller with its database, and each host's agent without its guests. */
export async function residentMemory(plan: LabPlan): Promise<ResidentMemory> {
  const fabric = await named(await namespaceProcesses(plan.fabricNamespace));
  const controllerMib = await sum(fabric.filter(({ words }) => /\bcontroller\b|postgres/.test(words)));
  const agentsMib: number[] = [];
  for (const host of plan.hosts)
    agentsMib.push(await sum((await named(await namespaceProcesses(host.namespace))).filter(({ words }) => /\bagent\b/.test(words))));
  return { controllerMib, agentsMib };
}

type Named = { readonly pid: number; readonly words: string };

const named = async (pids: readonly number[]): Promise<readonly Named[]> =>
  Promise.all(
    pids.map(async (pid) => ({ pid, words: (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ') })),
  );

async function sum(processes: readonly Named[]): Promise<number> {
  let kib = 0;
  for (const { pid } of processes) {
    // A process that has ended meanwhile holds nothing.
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
    kib += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0);
  }
  return kib / 1024;
}
