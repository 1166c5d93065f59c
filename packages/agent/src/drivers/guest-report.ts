import type { HostCustody } from '@godwit/domain/custody/host-custody';
import type { DeviceLayout } from '@godwit/domain/guest-spec';
import type { BootId, Epoch, MigrationId, ServerId } from '@godwit/domain/ids';

export type GuestState =
  | 'running'
  | 'paused'
  /** Powered off inside, or stopped by us; no QEMU process. */
  | 'shutoff'
  /** QEMU died, or the guest panicked; the report's detail has the cause. */
  | 'crashed'
  /** A destination that has not taken. */
  | 'incoming'
  /** A source that has released. */
  | 'released'
  | 'io-error'
  /** Its memory is in a file here; no QEMU process. */
  | 'suspended';

/** What this host says of one guest it has or had. */
export type GuestReport = {
  readonly serverId: ServerId;
  /** The highest this host knows for the server. */
  readonly epoch: Epoch;
  /** The epoch that the copy here runs, or ran, under; absent: there is no copy. After an abort it is lower than `epoch`. */
  readonly copyEpoch?: Epoch;
  /** All that custody knows here: the controller decides on this, not on a guess from `state`. */
  readonly custody: HostCustody;
  readonly state: GuestState;
  readonly detail: string;
  /** Of a move in progress. */
  readonly migrationId: MigrationId | null;
  readonly pid: number | null;
  readonly machineType: string;
  readonly cpuModel: string;
  /** As its spec has it; absent: there is none here. */
  readonly deviceLayout?: DeviceLayout;
  /** Its machine has a channel for the QEMU guest agent; absent: there is none here. */
  readonly guestAgent?: boolean;
  /** That its QEMU has now; absent: no process, or it does not say. */
  readonly vcpus?: number;
  /** That it has, or is to have where that is more; absent: no process. */
  readonly ramMib?: number;
  /** Of the process that runs it, which may be older than the installed one; absent: no process. */
  readonly qemuVersion?: string;
  readonly bootId: BootId;
  readonly diskBytesUsed: number;
};
