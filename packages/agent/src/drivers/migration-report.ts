import type { Epoch, MigrationId, ServerId } from '@godwit/domain/ids';
import type { MigrationCause } from '@godwit/domain/migration';
import type { GuestState } from './guest-report.ts';

/**
 * Where the source side of a move stands. `lost`: QEMU died after the release or where nobody could tell.
 * Terminal: released, cancelled, failed, guest-gone, lost.
 */
export type SourceState = 'armed' | 'copying' | 'pre-switchover' | 'released' | 'cancelled' | 'failed' | 'guest-gone' | 'lost';
/** Where the destination side stands. Terminal: running (the end state, be it paused), forfeited, died. */
export type DestinationState = 'preparing' | 'listening' | 'loaded' | 'taking' | 'running' | 'forfeited' | 'died';

export type TakeAnswer = 'has-not-and-forfeits' | 'took-alive' | 'took-dead' | 'unknown';

/** One side's account of a move: re-readable, so that a lost stream loses nothing. Clocks are this host's, UTC ms; null where not measured. */
export type MigrationReport = {
  readonly migrationId: MigrationId;
  readonly serverId: ServerId;
  readonly role: 'source' | 'destination';
  readonly epoch: Epoch;
  readonly state: SourceState | DestinationState;
  readonly qemuStatus: string;
  readonly ram: RamProgress | null;
  readonly disks: readonly DiskProgress[];
  readonly timeline: readonly TimelineEvent[];
  /** Why it ended without success; null while it goes on, or when it succeeded. */
  readonly cause: MigrationCause | null;
  readonly detail: string;
  /** Of this side's copy now. */
  readonly guestState: GuestState;
  readonly stoppedAtMs: number | null;
  readonly completedAtMs: number | null;
  readonly resumedAtMs: number | null;
  /** Source: the destination's clock minus this one's. */
  readonly clockOffsetMs: number | null;
  readonly clockErrorMs: number | null;
  readonly qemuDowntimeMs: number | null;
  readonly qemuTotalMs: number | null;
  readonly networkVerified: boolean;
  /** Source: what the link carried of memory at the end of the first pass, when the stream was full. */
  readonly linkBytesPerSecond: number | null;
  /** Destination: what it answers, or would answer, to a forfeit; null while it has not been asked to take. */
  readonly taken: TakeAnswer | null;
};

export type RamProgress = {
  readonly totalBytes: number;
  /** On the wire. */
  readonly transferredBytes: number;
  /** Of memory that they carried: more where it was compressed. Absent in what an earlier agent has stored: not told. */
  readonly memoryBytes?: number;
  readonly remainingBytes: number;
  readonly dirtyPagesRate: number;
  readonly dirtySyncCount: number;
  readonly pageSize: number;
  /** Of memory, before compression. */
  readonly mbps: number;
};

export type DiskProgress = { readonly diskId: string; readonly lengthBytes: number; readonly offsetBytes: number; readonly ready: boolean };
export type TimelineEvent = { readonly atMs: number; readonly what: string; readonly detail: string };
