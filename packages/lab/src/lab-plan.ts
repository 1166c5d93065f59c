import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** One process that the supervisor keeps alive. */
export interface ProcessSpec {
  readonly name: string;
  /** The host whose power it shares; absent for the controller. */
  readonly host?: string;
  /** Network namespace it runs in; absent: the supervisor's own. */
  readonly namespace?: string;
  /** Absolute path first: it must start whatever the terminal's directory and PATH were. */
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  /** Gets the public listener as fd 3, announced by LISTEN_FDS=1 (systemd's socket activation). */
  readonly inheritsPublicSocket: boolean;
  /** False: waits for a `start` request (an agent waits for its join token). */
  readonly startsAtOnce: boolean;
}

export interface HostSpec {
  readonly name: string;
  readonly namespace: string;
  readonly stateDir: string;
  /** Rewritten at every power loss: to the agent it looks like the kernel's boot_id. */
  readonly bootIdFile: string;
  readonly fabricPort: string;
  readonly managementPort: string;
}

/** Everything about a lab that outlives its processes: the contents of <dir>/lab.json. */
export interface LabPlan {
  readonly version: 1;
  readonly labId: string;
  readonly dir: string;
  readonly publicUrl: string;
  readonly port: number;
  readonly fabricNamespace: string;
  readonly clientNamespace: string;
  readonly hosts: readonly HostSpec[];
  readonly simulatedHosts: number;
  readonly faultInjection: boolean;
  readonly processes: readonly ProcessSpec[];
}

/** The places of a lab's files. */
export const labFiles = (dir: string) =>
  ({
    plan: path.join(dir, 'lab.json'),
    socket: path.join(dir, 'lab.sock'),
    logs: path.join(dir, 'logs'),
    run: path.join(dir, 'run'),
    supervisorPid: path.join(dir, 'run', 'supervisor.pid'),
  }) as const;

export async function writeLabPlan(plan: LabPlan): Promise<void> {
  const file = labFiles(plan.dir).plan;
  // By renaming: a crash in between leaves the old one or the new one, never half of one.
  await writeFile(`${file}.new`, `${JSON.stringify(plan, null, 2)}\n`);
  await rename(`${file}.new`, file);
}

/** The plan of the lab in `dir`, or undefined when there is none (or only a broken one, which is as good as none). */
export async function readLabPlan(dir: string): Promise<LabPlan | undefined> {
  try {
    const plan = JSON.parse(await readFile(labFiles(dir).plan, 'utf8')) as LabPlan;
    return plan.version === 1 ? plan : undefined;
  } catch {
    return undefined;
  }
}
