/** What each fault does to its victim, and what undoes it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault, LiveCell, Victim } from './cells.ts';
import { type ChaosLab, until } from './chaos-lab.ts';

const FROZEN_MS = 6_000;
const CABLE_OUT_MS = 8_000;
const DISK_MS = 8_000;
const SLOW_OPERATIONS_PER_SECOND = 20;
const SKEW_MS = 500;
const SECOND = 'controller-2';

/** One move that is being broken. */
export type Scene = {
  readonly lab: ChaosLab;
  readonly serverId: string;
  readonly source: string;
  readonly destination: string;
  /** Takes the hold away; the process that is held goes on, if it still can. */
  readonly letGo: () => Promise<void>;
  /** The controller that does the move, where one is held or two are there; else the process that is held. */
  readonly inCharge: string;
};

/** Before the move: what a fault needs that is not done in an instant. */
export async function prepareInjury(
  lab: ChaosLab,
  fault: Fault,
  victim: Victim,
  hosts: { readonly source: string; readonly destination: string },
) {
  if (fault === 'clock-skew') {
    const host = victim === 'source-agent' ? hosts.source : hosts.destination;
    const since = new Date();
    await lab.tell({ op: 'clock-skew', process: `agent-${host}`, skewMs: SKEW_MS });
    await until(`${host} is up again`, 30_000, async () => ((await lab.isUp(host, since)) ? true : undefined));
  } else if (fault === 'takeover') {
    const log = await lab.followLog(SECOND);
    await lab.tell({ op: 'start', process: SECOND });
    await until('the second controller serves', 30_000, () => log.line('the controller serves'));
  }
}

/**
 * Injures the victim while the move is held, lets it go, and resolves when the fault has passed by itself (a frozen process wakes, a cable is plugged in again). `power-off` does not pass.
 * Returns what was done, for the log.
 */
export async function injure(scene: Scene, { fault, victim }: LiveCell): Promise<string> {
  const { lab, letGo, serverId } = scene;
  const host = victim.startsWith('source') ? scene.source : scene.destination;
  switch (fault) {
    case 'kill':
      if (victim.endsWith('qemu')) {
        const pid = await qemuOf(scene, host);
        process.kill(pid, 'SIGKILL');
        await letGo();
        return `SIGKILL to QEMU ${pid} on ${host}`;
      }
      // Stopped first, so that what is held cannot take one step between the two.
      await lab.tell({ op: 'freeze', process: processOf(victim, host) });
      await letGo();
      await lab.tell({ op: 'kill', process: processOf(victim, host) });
      return `SIGKILL to ${processOf(victim, host)}`;
    case 'freeze': {
      if (victim.endsWith('qemu')) {
        const pid = await qemuOf(scene, host);
        process.kill(pid, 'SIGSTOP');
        await letGo();
        await delay(FROZEN_MS);
        signal(pid, 'SIGCONT');
        return `SIGSTOP to QEMU ${pid} on ${host} for ${FROZEN_MS} ms`;
      }
      await lab.tell({ op: 'freeze', process: processOf(victim, host) });
      await letGo();
      await delay(FROZEN_MS);
      await lab.tell({ op: 'thaw', process: processOf(victim, host) });
      return `SIGSTOP to ${processOf(victim, host)} for ${FROZEN_MS} ms`;
    }
    case 'power-loss':
    case 'power-off':
      await lab.tell({ op: 'power-loss', host, ...(fault === 'power-off' && { stayOff: true }) });
      await letGo();
      return `${host} lost its power${fault === 'power-off' ? ' and stays off' : ''}`;
    case 'link-down':
      await lab.tell({ op: 'cable', host, cable: 'management', state: 'down' });
      await letGo();
      await delay(CABLE_OUT_MS);
      await lab.tell({ op: 'cable', host, cable: 'management', state: 'up' });
      return `management cable of ${host} out for ${CABLE_OUT_MS} ms`;
    case 'database-down': {
      const pids = await lab.databaseProcesses();
      // With the first of them dead the others end by themselves.
      for (const pid of pids) signal(pid, 'SIGKILL');
      await letGo();
      return `SIGKILL to PostgreSQL, ${pids.length} processes`;
    }
    case 'takeover': {
      await lab.tell({ op: 'freeze', process: scene.inCharge });
      await letGo();
      await until('the other controller ended the move', 90_000, async () => {
        const id = await lab.newestMigration(serverId);
        const ended = id !== undefined && (await lab.migration(id)).finishedAt !== null;
        return ended ? true : undefined;
      });
      await lab.tell({ op: 'thaw', process: scene.inCharge });
      return `SIGSTOP to ${scene.inCharge} until the other controller had ended the move`;
    }
    case 'clock-skew':
      await letGo();
      return `the clock of agent-${host} is ${SKEW_MS} ms wrong`;
    case 'disk-full':
    case 'pool-full': {
      const disk = lab.disks(host)[fault === 'pool-full' ? 'pool' : 'state'];
      await disk.fill();
      await letGo();
      await delay(DISK_MS);
      await disk.free();
      return `the ${fault === 'pool-full' ? 'local pool' : 'own disk'} of ${host} full for ${DISK_MS} ms`;
    }
    case 'disk-slow':
      for (const disk of Object.values(lab.disks(host))) await disk.limit(SLOW_OPERATIONS_PER_SECOND);
      await letGo();
      await delay(DISK_MS);
      for (const disk of Object.values(lab.disks(host))) await disk.limit(0);
      return `the disks of ${host} at ${SLOW_OPERATIONS_PER_SECOND} operations a second for ${DISK_MS} ms`;
  }
}

/** Everything as it was, whatever a cell has left. Power comes back, cables and clocks are right, every process runs. */
export async function mend(
  lab: ChaosLab,
  { fault, victim }: LiveCell,
  hosts: { readonly source: string; readonly destination: string },
): Promise<void> {
  await lab.disarmAll();
  await lab.fastCables();
  for (const { name } of lab.plan.hosts) {
    for (const disk of Object.values(lab.disks(name))) {
      await disk.free();
      await disk.limit(0);
    }
    await lab.tell({ op: 'cable', host: name, cable: 'management', state: 'up' });
    await lab.tell({ op: 'thaw-host', host: name });
    await lab.tell({ op: 'power-on', host: name });
  }
  await lab.tell({ op: 'thaw', process: 'controller' });
  if (fault === 'takeover') await lab.tell({ op: 'stop', process: SECOND });
  if (fault === 'clock-skew') {
    const host = victim === 'source-agent' ? hosts.source : hosts.destination;
    await lab.tell({ op: 'clock-skew', process: `agent-${host}`, skewMs: 0 });
  }
}

const processOf = (victim: Victim, host: string): string => (victim === 'controller' ? 'controller' : `agent-${host}`);

async function qemuOf({ lab, serverId }: Scene, host: string): Promise<number> {
  const [pid, ...more] = await lab.qemus(host, serverId);
  if (pid === undefined || more.length > 0) throw new Error(`${host} has ${more.length + (pid === undefined ? 0 : 1)} QEMUs of the guest`);
  return pid;
}

/** To a process that may have ended meanwhile. */
function signal(pid: number, name: 'SIGKILL' | 'SIGCONT'): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
