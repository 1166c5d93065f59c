import { LabError } from '../lab-error.ts';
import { readLabPlan } from '../lab-plan.ts';
import { labNamespaces } from '../network/network.ts';
import { askSupervisor } from '../supervisor/control-client.ts';
import type { ProcessReport } from '../supervisor/supervised-process.ts';
import type { LabDirectory } from './lab-directory.ts';

export interface LabStatus {
  readonly labId: string;
  readonly dir: string;
  readonly url: string;
  /** Whether the public API answers just now. */
  readonly answers: boolean;
  readonly supervisor: { readonly running: boolean; readonly pid?: number };
  readonly hosts: readonly string[];
  readonly simulatedHosts: number;
  readonly namespaces: readonly string[];
  readonly clientNamespace: string;
  readonly processes: readonly ProcessReport[];
}

/** Throws LabError NOT_RUNNING when there is no lab, not even a broken one, in the directory. */
export async function status(directory: LabDirectory): Promise<LabStatus> {
  const plan = await readLabPlan(directory.dir);
  if (plan === undefined) throw new LabError('NOT_RUNNING', `no lab in ${directory.dir}; "godwit lab up" starts one`);
  const supervisor = await askSupervisor(directory.dir, { op: 'status' }, 5000).catch(() => undefined);
  const answers = await fetch(`${plan.publicUrl}/healthz`, { signal: AbortSignal.timeout(3000) }).then(
    (response) => response.ok,
    () => false,
  );
  return {
    labId: plan.labId,
    dir: plan.dir,
    url: plan.publicUrl,
    answers: supervisor !== undefined && answers,
    supervisor: supervisor === undefined ? { running: false } : { running: true, pid: supervisor.pid },
    hosts: plan.hosts.map((host) => host.name),
    simulatedHosts: plan.simulatedHosts,
    namespaces: await labNamespaces(directory.labId),
    clientNamespace: plan.clientNamespace,
    processes: supervisor?.processes ?? [],
  };
}

export function renderStatus(lab: LabStatus): string {
  const rows = lab.processes.map((one) => [
    one.name,
    one.state,
    one.pid === undefined ? '-' : String(one.pid),
    String(one.restarts),
    one.lastExit ?? '-',
  ]);
  const table = [['PROCESS', 'STATE', 'PID', 'RESTARTS', 'LAST EXIT'], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const supervisor = lab.supervisor.running
    ? `running (pid ${lab.supervisor.pid ?? '?'})`
    : 'NOT RUNNING: "godwit lab up" takes over, "godwit lab down" clears';
  return [
    `lab        ${lab.labId} in ${lab.dir}`,
    `URL        ${lab.url}${lab.answers ? '' : ' (does not answer)'}`,
    `supervisor ${supervisor}`,
    `client     ip netns exec ${lab.clientNamespace} ...`,
    '',
    ...table.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
    '',
  ].join('\n');
}
