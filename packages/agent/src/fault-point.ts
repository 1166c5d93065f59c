import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Places where a test may stop the agent or make it die, by name: `GODWIT_FAULT_POINTS=source.before-release=kill,destination.taken=hold:500`. Or while it runs: with
 * `GODWIT_FAULT_POINTS_DIR` it says in its log that it is at a point that has a file of its name there, and stays as long as that exists. Without the variables, a call costs one look into
 * an empty map.
 */
export type FaultAction = { readonly kind: 'kill' } | { readonly kind: 'hold'; readonly ms: number } | { readonly kind: 'throw' };

/** All of them, in the order in which a move meets them; then what is no move's. */
export const faultPoints = [
  'destination.granted',
  'destination.disks-made',
  'destination.started',
  'destination.listening',
  'source.warm',
  'source.armed',
  'source.mirroring',
  'source.mirrors-ready',
  'source.migrating',
  'source.stopped',
  'source.pre-switchover',
  'source.disks-whole',
  'source.completed',
  'source.release-sent',
  'destination.release-heard',
  'destination.taking',
  'destination.taken',
  'source.released',
  'destination.finishing',
  'snapshot.copying',
  'nics.noted',
  'nics.unplugged',
  'scale.plugged',
  'memory.asked',
  'suspend.saving',
  'suspend.recorded',
  'resume.loaded',
  'resume.taking',
] as const;
export type FaultPoint = (typeof faultPoints)[number];

/** Parses the variable. Throws with the offending part, so that a mistyped test fails instead of passing. */
export function parseFaultPoints(text: string | undefined): ReadonlyMap<FaultPoint, FaultAction> {
  const points = new Map<FaultPoint, FaultAction>();
  for (const part of (text ?? '').split(',').filter((one) => one !== '')) {
    const [name = '', what = ''] = part.split('=');
    const hold = /^hold:(\d+)$/.exec(what);
    if (!(faultPoints as readonly string[]).includes(name) || !(what === 'kill' || what === 'throw' || hold))
      throw new Error(`no such fault: ${part}`);
    points.set(name as FaultPoint, hold ? { kind: 'hold', ms: Number(hold[1]) } : { kind: what as 'kill' | 'throw' });
  }
  return points;
}

const active = parseFaultPoints(process.env['GODWIT_FAULT_POINTS']);
const directory = process.env['GODWIT_FAULT_POINTS_DIR'];
const lookEveryMs = 2;

/** Passes, or does what the environment says at this point. */
export function faultPoint(name: FaultPoint): Promise<void> | undefined {
  const action = active.get(name);
  if (!action) return directory === undefined ? undefined : held(`${directory}/${name}`, name);
  switch (action.kind) {
    case 'kill':
      // SIGKILL: nothing is flushed, no handler runs. The promise never settles: the process is gone before anybody could go on.
      process.kill(process.pid, 'SIGKILL');
      return new Promise(() => undefined);
    case 'hold':
      return new Promise((resolve) => setTimeout(resolve, action.ms));
    case 'throw':
      return Promise.reject(new Error(`fault point ${name}`));
  }
}

function held(file: string, name: FaultPoint): Promise<void> | undefined {
  if (!existsSync(file)) return undefined;
  // One line of the log, written at once: whoever injects a fault waits for it, and it proves where the agent was.
  process.stdout.write(`${JSON.stringify({ time: Date.now(), name: 'agent', faultPoint: name, msg: 'held at a fault point' })}\n`);
  const removed = async (): Promise<void> => {
    while (existsSync(file)) await delay(lookEveryMs);
  };
  return removed();
}
