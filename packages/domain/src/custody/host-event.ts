import type { BootId, Epoch, Fence, HostId, MigrationId } from '../ids.ts';
import type { Grant } from './grant.ts';
import type { QemuProcess, QemuView } from './qemu-view.ts';

/**
 * The statement that the source's QEMU has completed and is stopped for good. Valid for exactly one (migration, destination, epoch). It is sent by
 * the source on its own connection and to the controller, which relays it; it carries no fence, being a fact and not an order.
 */
export type Release = {
  readonly migrationId: MigrationId;
  readonly source: HostId;
  readonly destination: HostId;
  readonly epoch: Epoch;
};

/** An order of the controller. All carry the executor's fence, and all but `census` the epoch they are about. */
export type HostCommand =
  /** To the destination: make the grant durable. */
  | { readonly kind: 'grant'; readonly fence: Fence; readonly grant: Grant }
  /** To the destination of a plain start: QEMU stands in prelaunch, let it run. */
  | { readonly kind: 'launch'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /** To the source: you will release to this grant. Before `migrate`, always. */
  | { readonly kind: 'arm'; readonly fence: Fence; readonly grant: Grant; readonly view: QemuView | null }
  /** To the source: begin. */
  | { readonly kind: 'migrate'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /** To the source: let QEMU leave pre-switchover (disks are done). */
  | { readonly kind: 'continue'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /** To the source: abort, first half. Answered only when QEMU has ended the migration one way or the other. */
  | { readonly kind: 'disarm'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /** To the destination: abort, second half; undo of preparing. `bootId` is that of the grant. */
  | { readonly kind: 'forfeit'; readonly fence: Fence; readonly epoch: Epoch; readonly bootId: BootId }
  /** To the source, after the destination forfeited `forfeited`: run on under `epoch`. */
  | { readonly kind: 'resume'; readonly fence: Fence; readonly epoch: Epoch; readonly forfeited: Epoch; readonly view: QemuView | null }
  /** Kill every copy under an epoch lower than `epoch`, with SIGKILL; disks stay. */
  | { readonly kind: 'destroy'; readonly fence: Fence; readonly epoch: Epoch }
  | { readonly kind: 'pause'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  | { readonly kind: 'unpause'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  | { readonly kind: 'reset'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /** The power button: the guest may shut itself down, or not. */
  | { readonly kind: 'powerDown'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /**
   * The user's stop. Ends exactly the held copy of this epoch, outside a migration, with its disks flushed. Not a destruction: it never reaches a copy that is
   * granted or released, and a late one finds nothing, because a stopped guest runs again only under a new epoch.
   */
  | { readonly kind: 'powerOff'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /** Save the memory of exactly the held copy of this epoch, and end it. */
  | { readonly kind: 'suspend'; readonly fence: Fence; readonly epoch: Epoch; readonly view: QemuView | null }
  /** After a restore of the database: promise to accept no unseen grant up to `floor`, and report. */
  | { readonly kind: 'census'; readonly fence: Fence; readonly floor: Epoch };

/** What a host's machine is told. `view` is what a look at QEMU showed within the same turn; null when the process is dead or absent. */
export type HostEvent =
  | HostCommand
  /** From the source (authenticated as `release.source`) or relayed by the controller. */
  | { readonly kind: 'release'; readonly release: Release; readonly view: QemuView | null }
  /** The destination's statement that it is ready to run with pages missing (rule 3b); to the source. */
  | { readonly kind: 'postCopyReady'; readonly epoch: Epoch; readonly view: QemuView | null }
  /** The process for the grant has been started, with -S. */
  | { readonly kind: 'bind'; readonly epoch: Epoch; readonly process: QemuProcess }
  /** QEMU sent an event, or was looked at. */
  | { readonly kind: 'observed'; readonly view: QemuView | null }
  /** The agent gives up saving this copy's memory (it takes too long, or is wanted no more): the guest goes on. Fed again until it has. */
  | { readonly kind: 'suspendAbandoned'; readonly epoch: Epoch; readonly view: QemuView | null }
  /** QEMU has stood in pre-switchover for longer than the agent's own limit. */
  | { readonly kind: 'switchoverTimeout'; readonly view: QemuView | null }
  /** The agent has just started: state is what `recover` made of the journal. Always the first event. */
  | { readonly kind: 'adopt'; readonly view: QemuView | null };
