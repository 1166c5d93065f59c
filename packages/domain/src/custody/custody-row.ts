import type { BootId, Epoch, Fence, HostId, ServerId } from '../ids.ts';
import type { Grant } from './grant.ts';
import type { Copy } from './host-custody.ts';

/** The custody columns of a server's row: read, decided on and written back by one compare-and-set on (epoch, fence). */
export type CustodyRow = {
  readonly serverId: ServerId;
  /** Highest epoch ever burned for this server. */
  readonly epoch: Epoch;
  /** The executor in charge; a write under a lower one fails. */
  readonly fence: Fence;
  readonly holder: Holder;
  readonly operation: Operation | null;
  /** Hosts that may still have remains of the server: they are told to destroy everything below an epoch, until they have answered. */
  readonly remains: readonly Remains[];
  /** A host knows a higher epoch than this row: the database has travelled back; nothing is granted until a recovery has run (rule 8). */
  readonly behind: boolean;
};

/** Where the guest is, by the last fact that reached the database. */
export type Holder =
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'host'; readonly hostId: HostId; readonly epoch: Epoch; readonly bootId: BootId }
  /** It runs nowhere, and its memory under this epoch is on this host: it is resumed there, or its memory destroyed, before it is started in any other way. */
  | { readonly kind: 'suspended'; readonly hostId: HostId; readonly epoch: Epoch };

export type Remains = { readonly hostId: HostId; readonly below: Epoch };

/** At most one at a time for a server. */
export type Operation = MoveOperation | StartOperation | DestroyOperation | RecoveryOperation;

/**
 * A live migration. Forward: granting → arming → copying → releasing → (holder moves). Back: disarming → forfeiting → (resuming) → (holder stays).
 * - `releasing`: the source is known to have released; the release is relayed until the destination answers.
 * - `forfeiting`: the source is known to be `runs`, `completed` or `lost`; the destination is asked to forfeit until it answers.
 */
export type MoveOperation = {
  readonly kind: 'move';
  readonly grant: Grant;
  readonly step: 'granting' | 'arming' | 'copying' | 'releasing' | 'disarming' | 'forfeiting' | 'resuming';
  /** Known from the steps `forfeiting` and `resuming` on. */
  readonly source: 'unknown' | 'runs' | 'completed' | 'lost';
  /** The destination is fenced: it answers nothing, and its QEMU is as good as dead. */
  readonly destinationFenced: boolean;
};

/** A plain start: granting → launching → (holder is the host). Back: forfeiting → (holder is nowhere; of a resume: what it was, suspended). */
export type StartOperation = {
  readonly kind: 'start';
  readonly grant: Grant;
  readonly step: 'granting' | 'launching' | 'forfeiting';
};

/** Forced stop, delete, first half of a hard reboot: the holder's copy is destroyed under an epoch granted to nobody. */
export type DestroyOperation = { readonly kind: 'destroy'; readonly hostId: HostId; readonly epoch: Epoch };

/** After a restore of the database (rule 8): every host that could hold the server must report under `floor`, or be fenced. */
export type RecoveryOperation = {
  readonly kind: 'recovery';
  readonly floor: Epoch;
  readonly waitingFor: readonly HostId[];
  readonly reports: readonly RecoveryReport[];
  /** Highest epoch that a host which was fenced meanwhile may have taken: a memory below it may be older than the disk. Absent: none was fenced. */
  readonly fencedThrough?: Epoch;
};

export type RecoveryReport = {
  readonly hostId: HostId;
  readonly bootId: BootId;
  readonly copy: Copy;
  readonly forfeited: Epoch | null;
  /** Highest epoch under which the guest may have run here; absent: written before this was asked. */
  readonly ranThrough?: Epoch;
};

/** The ways out shown to the operator when the next step waits for a host that does not answer (rule 5). There are never others. */
export type WayOut =
  | { readonly kind: 'wait'; readonly hostId: HostId }
  | { readonly kind: 'fenced'; readonly hostId: HostId; readonly outcome: 'restart-from-disk' | 'continue' };
