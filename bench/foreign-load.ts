import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import type { LabPlan } from '@godwit/lab/lab-plan';

/** USER_HZ of every Linux that Node runs on. */
const ticksPerSecond = 100;

type Sample = { readonly atMs: number; readonly busyTicks: number; readonly ownTicks: number };

/**
 * How much of the machine others use during a measurement, in cores: everything that the processors did, less what the lab's processes, this one and their ended children did.
 * The kernel's own threads count as others. Returns the function that ends the measurement.
 */
export async function measureForeignLoad(plan: LabPlan): Promise<() => Promise<number>> {
  const namespaces = new Set(
    await Promise.all(
      [plan.fabricNamespace, plan.clientNamespace, ...plan.hosts.map((host) => host.namespace)].map(
        async (name) => (await stat(`/run/netns/${name}`)).ino,
      ),
    ),
  );
  const before = await sample(namespaces, plan.dir);
  return async () => {
    const after = await sample(namespaces, plan.dir);
    const ticks = after.busyTicks - before.busyTicks - (after.ownTicks - before.ownTicks);
    return Math.max(0, ticks / ticksPerSecond / ((after.atMs - before.atMs) / 1000));
  };
}

async function sample(namespaces: ReadonlySet<number>, dir: string): Promise<Sample> {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = ((await readFile('/proc/stat', 'utf8')).split('\n')[0] ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const own = await Promise.all(pids.map((pid) => ownTicks(pid, namespaces, dir)));
  return {
    atMs: performance.now(),
    busyTicks: user + nice + system + irq + softIrq,
    ownTicks: own.reduce((sum, ticks) => sum + ticks, 0),
  };
}

async function ownTicks(pid: number, namespaces: ReadonlySet<number>, dir: string): Promise<number> {
  try {
    const namespace = Number(/\d+/.exec(await readlink(`/proc/${pid}/ns/net`))?.[0]);
    const belongs = namespaces.has(namespace) || pid === process.pid || (await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes(dir);
    if (!belongs) return 0;
    // Fields 14 to 17: user and system time, its own and that of the children it has waited for.
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  } catch {
    return 0; // it has ended meanwhile
  }
}
