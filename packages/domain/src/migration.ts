import type { GuestTime } from './guest-time.ts';

/** The record of one move. Status words are OpenStack's; the phase is finer and ours. */
export const migrationTypes = ['live-migration', 'migration', 'resize', 'evacuation'] as const;
export type MigrationType = (typeof migrationTypes)[number];

export const migrationStatuses = [
  'accepted',
  'queued',
  'preparing',
  'running',
  'running (post-copy)',
  'pre-migrating',
  'migrating',
  'post-migrating',
  'finished',
  'confirming',
  'confirmed',
  'reverting',
  'reverted',
  'completed',
  'failed',
  'cancelled',
  'error',
  'done',
] as const;
export type MigrationStatus = (typeof migrationStatuses)[number];

/** Nothing further will happen to a migration in one of these. */
export const terminalMigrationStatuses = [
  'completed',
  'confirmed',
  'reverted',
  'error',
  'failed',
  'cancelled',
  'done',
] as const satisfies readonly MigrationStatus[];

/** The ordered phases of a live migration (architecture, section 4), then its four ends. */
export const livePhases = ['accepted', 'scheduling', 'queued', 'preparing', 'copying', 'post-copy', 'switchover', 'committing'] as const;
export const finalPhases = ['completed', 'failed', 'cancelled', 'error'] as const;
/** Phases of a cold migration or resize. */
export const coldPhases = [
  'accepted',
  'scheduling',
  'queued',
  'preparing',
  'stopping',
  'copying-disks',
  'starting',
  'finished',
  'confirming',
  'reverting',
  'confirmed',
  'reverted',
] as const;
export type LivePhase = (typeof livePhases)[number] | (typeof finalPhases)[number];
export type MigrationPhase = LivePhase | (typeof coldPhases)[number];

/** Where a guest runs when a migration has ended, and why it ended so. Never invented: `unknown` says that nobody could look. */
export type MigrationOutcome = {
  /** A code of `migrationCauses`, or null for success. */
  readonly cause: MigrationCause | null;
  /** One sentence for the person. */
  readonly sentence: string;
  readonly runsOn: 'source' | 'destination' | 'nowhere' | 'unknown';
  /** What was observed, for the log and the failure card. */
  readonly evidence: readonly string[];
};

/** A destination that was tried before the present one, and failed by its own fault before the release. `at` is UTC milliseconds. */
export type EarlierAttempt = {
  readonly hostId: string;
  readonly host: string;
  readonly cause: MigrationCause;
  readonly sentence: string;
  readonly at: number;
};

export const migrationCauses = [
  'NoValidHost',
  'DestinationDown',
  'SourceDown',
  'PrepareFailed',
  /** The guest could not be started at the destination of a cold move, or on the way back. */
  'StartFailed',
  'DestinationDied',
  'SourceDied',
  'StreamFailed',
  'SwitchoverTimeout',
  'CancelledByOperator',
  'GuestPoweredOff',
  'GuestCrashed',
  /** A disk of the guest refused a write, for want of room or for good: the guest stands still where it is. */
  'GuestDiskError',
  'GuestCrashedOnArrival',
  'InvalidLocalStorage',
  'InvalidSharedStorage',
  'NoSpace',
  'IncompatibleCpu',
  'ForbiddenCombination',
  'DeviceCannotMove',
  'WillNotConverge',
  'DeadlineExceeded',
  'Stuck',
  'ServerDeleted',
  'CustodyUnknown',
  'Internal',
] as const;
export type MigrationCause = (typeof migrationCauses)[number];

/** One entry of a migration's timeline. `at` is UTC milliseconds of the clock named by `clock`. */
export type TimelineEntry = {
  readonly at: number;
  readonly clock: 'controller' | 'source' | 'destination';
  readonly what: string;
  readonly detail?: string;
};

/** What was measured of a live migration; null where it was not. All durations in milliseconds. */
export type MigrationMeasures = {
  /** Source STOP event to destination RESUME event, corrected by the measured clock offset. */
  readonly blackoutMs: number | null;
  /** Half-width of the uncertainty of `blackoutMs` that comes from the clock offset. */
  readonly clockErrorMs: number | null;
  /** The destination's clock minus the source's, known to ± `clockErrorMs`. Absent from older records. */
  readonly hostClockOffsetMs?: number | null;
  /** QEMU's own `downtime`: it stops on the source, so it is not the guest's. */
  readonly qemuDowntimeMs: number | null;
  /** Source's `completed` event to destination's RESUME event: Godwit's own part of the blackout. */
  readonly ownShareMs: number | null;
  readonly qemuTotalMs: number | null;
  readonly rounds: number | null;
  readonly dirtyRateBytesPerSecond: number | null;
  /** Of memory, before compression. */
  readonly throughputBytesPerSecond: number | null;
  /** How much memory a byte on the wire carried: 1 unless it was compressed. Absent from older records. */
  readonly memoryPerWireByte?: number | null;
  /** What the link carried of memory while the stream was full. Absent from older records. */
  readonly linkBytesPerSecond?: number | null;
  /** Of a guest with a channel for the QEMU guest agent, once the move is over and its clock was looked at. */
  readonly guestTime?: GuestTime;
};
