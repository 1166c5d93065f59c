import type { Fault, Phase, Victim } from './cells.ts';

/**
 * Where a move is held so that a fault befalls it in exactly that phase: a fault point of the process that decides there. `disk`: the guest it is done with. QEMU stops and waits for us only when
 * local disks are copied, so `stopped` needs one.
 */
export type Hold = {
  readonly process: 'controller' | 'source-agent' | 'destination-agent';
  readonly point: string;
  readonly disk: 'shared' | 'local';
  /** The cables are slowed down, so that the copy lasts. */
  readonly slow: boolean;
  /** What the record's phase is meanwhile. A process may still be held by something of the move before. */
  readonly recorded: readonly string[];
};

const phaseHolds: Readonly<Record<Phase, Hold>> = {
  scheduling: { process: 'controller', point: 'phase.accepted', disk: 'shared', slow: false, recorded: ['accepted', 'scheduling'] },
  queued: { process: 'controller', point: 'phase.queued', disk: 'shared', slow: false, recorded: ['queued'] },
  preparing: { process: 'destination-agent', point: 'destination.started', disk: 'shared', slow: false, recorded: ['preparing'] },
  copying: { process: 'source-agent', point: 'source.migrating', disk: 'shared', slow: true, recorded: ['copying'] },
  stopped: { process: 'source-agent', point: 'source.pre-switchover', disk: 'local', slow: false, recorded: ['copying'] },
  completed: { process: 'source-agent', point: 'source.completed', disk: 'shared', slow: false, recorded: ['copying', 'switchover'] },
  released: {
    process: 'destination-agent',
    point: 'destination.release-heard',
    disk: 'shared',
    slow: false,
    recorded: ['copying', 'switchover'],
  },
  taking: { process: 'destination-agent', point: 'destination.taking', disk: 'shared', slow: false, recorded: ['copying', 'switchover'] },
  taken: { process: 'controller', point: 'switchover.taken', disk: 'shared', slow: false, recorded: ['switchover'] },
  committing: { process: 'controller', point: 'phase.committing', disk: 'shared', slow: false, recorded: ['committing'] },
};

/** Local disks are copied first: their room and their speed matter from then on. */
const ofLocalDisks: readonly Fault[] = ['pool-full', 'disk-slow'];

export function holdOf({ fault, victim, phase }: { readonly fault: Fault; readonly victim: Victim; readonly phase: Phase }): Hold {
  const hold = phaseHolds[phase];
  // A destination that boots again has a disk of its own to go on from.
  if (fault === 'power-loss' && victim === 'destination-host') return { ...hold, disk: 'local' };
  if (!ofLocalDisks.includes(fault)) return hold;
  return { ...hold, disk: 'local', ...(phase === 'copying' && { point: 'source.mirroring' }) };
}
