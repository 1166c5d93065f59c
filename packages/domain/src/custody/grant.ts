import type { BootId, Epoch, Fence, HostId, MigrationId, ServerId } from '../ids.ts';

/** What the guest does once the destination holds it. */
export type EndState = 'running' | 'paused';

/**
 * The permission to run one server on one host, given by one compare-and-set in the database. Nothing makes vCPUs run without one
 * (rule 0): create, start, hard reboot, resize, revert, evacuate and restart from disk are plain starts (`source` and `migrationId` null).
 */
export type Grant = {
  readonly serverId: ServerId;
  /** The migration that this grant belongs to; null for a plain start. */
  readonly migrationId: MigrationId | null;
  /** The host that must release before the destination may take; null for a plain start. */
  readonly source: HostId | null;
  readonly destination: HostId;
  /** The epoch that the destination will run under. Burned when granted: never granted a second time, to anybody. */
  readonly epoch: Epoch;
  /** The epoch that the source runs under (a plain start: the highest burned one before). Always lower than `epoch`, not always by one. */
  readonly previousEpoch: Epoch;
  /** The executor that obtained the grant. */
  readonly fence: Fence;
  readonly endState: EndState;
  /** Boot id of the destination when the grant was made: a destination that rebooted since then cannot use it. */
  readonly bootId: BootId;
  /** Rule 3b: may the source release while pages are still missing at the destination? False unless the QEMU pair is proven. */
  readonly postCopy: boolean;
  /**
   * Of a plain start that resumes: the epoch whose memory was saved on the destination, and which the guest is loaded from. Absent: it starts from its disk. No memory is ever granted
   * twice to a copy that may have run (suspend.ts).
   */
  readonly memory?: Epoch;
};

/** True when both name the same permission. The epoch alone decides, the rest guards against a number that was granted twice. */
export const sameGrant = (a: Grant, b: Grant): boolean =>
  a.epoch === b.epoch && a.serverId === b.serverId && a.migrationId === b.migrationId && a.destination === b.destination;
