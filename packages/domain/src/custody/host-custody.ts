import type { BootId, Epoch, Fence, HostId, ServerId } from '../ids.ts';
import type { Grant } from './grant.ts';
import type { QemuProcess } from './qemu-view.ts';

/** What one host knows about the custody of one server. Rebuilt by `recover` from the journal; nothing else is kept. */
export type HostCustody = {
  readonly serverId: ServerId;
  readonly hostId: HostId;
  /** The boot that the agent runs in now. */
  readonly bootId: BootId;
  /** Highest epoch that any record here has named. A grant must be higher. */
  readonly knownEpoch: Epoch;
  /** Everything that could start or keep a copy with an epoch up to here is refused (forfeits and destructions). */
  readonly refusedThrough: Epoch;
  /** The last epoch forfeited here, to answer the same question again with the same answer. */
  readonly forfeited: Epoch | null;
  /** Highest epoch ever taken here; with the boot id it proves that a later one was not. */
  readonly lastTaken: Epoch;
  /** Highest epoch whose grant ended here without a forfeit and without a known take, which a power loss may have taken: the guest may have run under it. Absent: none. */
  readonly mayHaveTaken?: Epoch;
  /** No arm with an epoch up to here is accepted. */
  readonly disarmedThrough: Epoch;
  /** Highest executor fence obeyed. */
  readonly fence: Fence;
  readonly copy: Copy;
};

/** At most one copy of a server exists on a host: a new grant is refused until the remains of the previous one are destroyed. */
export type Copy = NoCopy | GrantedCopy | HeldCopy | ReleasedCopy | SuspendedCopy;

export type NoCopy = { readonly kind: 'none' };

/** A durable grant that nobody has taken: the destination of a migration while the source runs, or a start before its `cont`. */
export type GrantedCopy = {
  readonly kind: 'granted';
  readonly grant: Grant;
  /** The process started for the grant (always with -S); null before it is bound. */
  readonly process: QemuProcess | null;
  /** A valid release has arrived but QEMU was not ready yet. Lost with the agent; the source repeats itself. */
  readonly released: boolean;
  /** Of a start that resumes: the grant of the suspended copy that it is loaded from, which is there again after a forfeit. */
  readonly memory?: Grant;
};

/** Taken: this host runs (or holds paused) the guest under `grant.epoch`, until it releases, forfeiting being over for good. */
export type HeldCopy = {
  readonly kind: 'held';
  readonly grant: Grant;
  readonly process: QemuProcess;
  /** False once QEMU was seen dead: took and died. */
  readonly alive: boolean;
  /** False between `taking` and the end of the take: `cont` may not have been sent yet, and an adopting agent finishes it. */
  readonly settled: boolean;
  readonly outgoing: Outgoing | null;
  /** Its memory is being written to a file. Nothing else is done with it until that has ended, one way or the other. */
  readonly suspending?: true;
};

/** What a holder knows of a migration away from it. `cancelling`: told to abort, QEMU has not ended it yet. */
export type Outgoing = { readonly phase: 'armed' | 'migrating' | 'cancelling'; readonly grant: Grant };

/** QEMU has completed and stands in postmigrate: the guest is assumed to run elsewhere, and RAM here is resumed only after a forfeit of `to`. */
export type ReleasedCopy = {
  readonly kind: 'released';
  readonly grant: Grant;
  readonly process: QemuProcess;
  readonly alive: boolean;
  readonly to: Grant;
  /** After a post-copy release the RAM here is never resumed, under no epoch; and it is not destroyed while `serving` pages. */
  readonly mode: 'pre-copy' | 'post-copy';
  readonly serving: boolean;
};

/**
 * The guest is not running anywhere, and its memory as of its last instruction under `grant.epoch` is durably here. It is one more copy: it is loaded at most once, under a newer grant that names
 * it, or destroyed under a newer epoch, and until then no other start is accepted.
 */
export type SuspendedCopy = {
  readonly kind: 'suspended';
  readonly grant: Grant;
  /** The process whose memory it was, until an agent has seen it dead; null: it is. */
  readonly process: QemuProcess | null;
};
