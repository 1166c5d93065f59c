import type { Phase } from './cells.ts';

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
};

export const phaseHolds: Readonly<Record<Phase, Hold>> = {
  scheduling: { process: 'controller', point: 'phase.accepted', disk: 'shared', slow: false },
  queued: { process: 'controller', point: 'phase.queued', disk: 'shared', slow: false },
  preparing: { process: 'destination-agent', point: 'destination.started', disk: 'shared', slow: false },
  copying: { process: 'source-agent', point: 'source.migrating', disk: 'shared', slow: true },
  stopped: { process: 'source-agent', point: 'source.pre-switchover', disk: 'local', slow: false },
  completed: { process: 'source-agent', point: 'source.completed', disk: 'shared', slow: false },
  released: { process: 'destination-agent', point: 'destination.release-heard', disk: 'shared', slow: false },
  taking: { process: 'destination-agent', point: 'destination.taking', disk: 'shared', slow: false },
  taken: { process: 'controller', point: 'switchover.taken', disk: 'shared', slow: false },
  committing: { process: 'controller', point: 'phase.committing', disk: 'shared', slow: false },
};
