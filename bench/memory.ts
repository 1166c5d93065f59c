import { readdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
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

/** A process and everything it started, e.g. a controller with its own database server, wherever that was re-parented to. */
export async function pssMib(pid: number): Promise<number> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8');
  const config = /--config\0([^\0]+)/.exec(words)?.[1] ?? '';
  const data = `${dirname(config)}/controller/postgres/`;
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await named(all);
  const postmaster = found.find(({ words: own }) => /\bpostgres\b/.test(own) && own.includes(data));
  const children = postmaster === undefined ? [] : await childrenOf(postmaster.pid, all);
  return sum([{ pid, words }, ...(postmaster === undefined ? [] : [postmaster]), ...children.map((one) => ({ pid: one, words: '' }))]);
}

async function childrenOf(parent: number, pids: readonly number[]): Promise<readonly number[]> {
  const parents = await Promise.all(
    pids.map(async (pid) => ({
      pid,
      parent: Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1]),
    })),
  );
  return parents.filter((one) => one.parent === parent).map((one) => one.pid);
}
