import type { ConvergencePolicy } from '@godwit/domain/convergence/policy';
import type { Grant } from '@godwit/domain/custody/grant';
import type { GuestTime } from '@godwit/domain/guest-time';
import type { HostFacts } from '@godwit/domain/host';
import type { BootId, Epoch, Fence, HostId, MigrationId, ServerId } from '@godwit/domain/ids';
import type { ChosenStream, MemoryStream } from '@godwit/domain/memory-stream';
import type { NetworkPolicy } from '@godwit/domain/network-policy';
import type { DirtyPoint } from '@godwit/domain/prediction/dirty-curve';
import type { CarriedFlows } from '../network/guest-networks.ts';
import type { DiskChunk } from '../storage/disk-stream.ts';
import type { ImageRef } from '../storage/image-cache.ts';
import type { GuestConsoles } from './guest-consoles.ts';
import type { GuestReport } from './guest-report.ts';
import type { HostEvents } from './host-events.ts';
import type { MigrationReport, TakeAnswer } from './migration-report.ts';
import type { WantedGuest } from './wanted-guest.ts';

/** The authority under which a mutating call is made. */
export type Authority = { readonly serverId: ServerId; readonly epoch: Epoch; readonly fence: Fence };

/** Memory that holds anything but zeros, and how much different memory changed over each window; `ageMs` old. */
export type DirtyReport = { readonly usedBytes: number; readonly points: readonly DirtyPoint[]; readonly ageMs: number };

/** Where a peer agent is, and who it must prove to be. */
export type PeerAddress = { readonly hostId: HostId; readonly address: string; readonly rpcPort: number };

export type MigrationPolicy = {
  readonly downtimeLimitMs: number;
  /** Per second; 0: unlimited. */
  readonly maxBandwidthBytes: number;
  readonly blockMigration: boolean;
  readonly localDiskIds: readonly string[];
  /** Room for the disks to copy is not promised at their full size. */
  readonly diskOverCommit: boolean;
  /** The guest's frames reach both taps from shortly before the stop. */
  readonly networkSwitch: boolean;
  /** Of copying; 0: none. */
  readonly deadlineMs: number;
  /** What the source steers by; null: it does not, and the downtime limit stays as it is. */
  readonly convergence: ConvergencePolicy | null;
  /** Stop the guest now and finish. Never taken back. */
  readonly forceComplete: boolean;
  /** How the destination is to take memory, if it can. Absent in what an earlier agent has stored: `single`. */
  readonly memoryStream?: MemoryStream;
};

/** What the destination opened for the source. */
export type IncomingReady = {
  readonly migrationId: MigrationId;
  readonly ramAddress: string;
  readonly ramPort: number;
  /** 0: no disk is copied. */
  readonly nbdPort: number;
  /** Of the disks to copy: what lies below them is there already, so that only the disk's own layer is copied. */
  readonly overlayDiskIds: readonly string[];
  /** The disk stream is not TLS, by the destination's explicit setting. */
  readonly nbdPlain: boolean;
  /** The same of the memory stream. */
  readonly ramPlain: boolean;
  readonly machineType: string;
  readonly cpuModel: string;
  readonly preparedMs: number;
  /** Layout and network cards of the machine that waits; absent or empty: not told. */
  readonly devices?: string;
  /** How it takes memory, and so how the source sends it, with the reason when it is not what was asked for. Absent: `single`. */
  readonly stream?: ChosenStream;
};

/** The source's word that its copy will never run again, with the two instants that the blackout is measured from (source clock). */
export type ReleaseNotice = {
  readonly serverId: ServerId;
  readonly migrationId: MigrationId;
  readonly source: HostId;
  readonly destination: HostId;
  readonly epoch: Epoch;
  readonly stoppedAtMs: number;
  readonly completedAtMs: number;
  /** How long the guest had been stopped when the source sent this; absent when it was relayed, which takes a time of its own. */
  readonly sinceStopMs?: number;
  /** The stop on the destination's clock; absent when the source has not read that. */
  readonly stoppedAtYoursMs?: number;
};

export type ReleaseAnswer = { readonly answer: TakeAnswer; readonly detail: string; readonly resumedAtMs: number | null };

/** How the source reaches the destination's tap; null: the destination opened nothing. */
export type NetworkEncapsulation = {
  readonly kind: 'vxlan';
  readonly address: string;
  readonly port: number;
  readonly nics: readonly { readonly mac: string; readonly vni: number }[];
};

/**
 * What an agent can do on its host; `qemu` and `simulated` implement it and pass one conformance suite. Mutating calls are idempotent for the same
 * arguments: a repeated call observes first. Every one throws GodwitError (or CustodyRefused, see custody) with nothing changed when it refuses.
 */
export type HostDriver = {
  readonly hostId: HostId;
  readonly bootId: BootId;
  readonly events: HostEvents;
  readonly consoles: GuestConsoles;
  facts(): Promise<HostFacts>;
  guests(): Promise<readonly GuestReport[]>;
  migrations(): readonly MigrationReport[];

  /**
   * Creates disks where absent, starts QEMU stopped, takes, and leaves the guest in the grant's end state. Under a grant that names a memory: loads it, and the guest goes on where it was suspended; when
   * that throws it still is.
   */
  startGuest(grant: Grant, guest: WantedGuest): Promise<GuestReport>;
  /** No QEMU process when it returns; disks stay. */
  stopGuest(authority: Authority, timeoutMs: number): Promise<GuestReport>;
  pauseGuest(authority: Authority): Promise<GuestReport>;
  unpauseGuest(authority: Authority): Promise<GuestReport>;
  /** The guest's memory, of a machine with so many vCPUs (null: as many as it has), is durably in a file here and its QEMU has ended when it returns. Throws what scaleGuest throws, SuspendUnsupported, NoSpace, SuspendFailed: then the guest runs on, and nothing of the file stays. */
  suspendGuest(authority: Authority, vcpus: number | null): Promise<GuestReport>;
  rebootGuest(authority: Authority, hard: boolean): Promise<GuestReport>;
  /** A guest that runs here has the network cards that `guest` names, each in its place, when it returns, and no other. */
  changeNics(authority: Authority, guest: WantedGuest): Promise<GuestReport>;
  /** A guest that runs here has as many vCPUs as `guest` says when it returns. Throws HotPlugUnsupported for a machine without places for them, InvalidState for fewer than it has. */
  scaleGuest(authority: Authority, guest: WantedGuest): Promise<GuestReport>;
  /**
   * A guest that runs here has so much memory when it returns, MiB in all. Throws HotPlugUnsupported for a machine without a place for it, BadRequest for a size that it cannot have, InvalidState for a paused guest, and for one that
   * does not take or give back all of it: it has what it took then, or all that it had, which its report says.
   */
  scaleMemory(authority: Authority, ramMib: number): Promise<GuestReport>;
  /** Under a newer epoch than the copy's. Returns whether there was anything. */
  destroyGuest(authority: Authority, deleteDisks: boolean, guest: WantedGuest | null): Promise<boolean>;
  /** Every copy below the epoch is dead (SIGKILL) when it returns; disks kept. */
  supersede(authority: Authority): Promise<GuestReport>;
  /** The end of the console log; `maxLines` 0: no limit but the bytes. */
  readConsole(serverId: ServerId, maxBytes: number, maxLines: number): Promise<Buffer>;
  /** How fast a running guest changes its memory: what is known, if not older than `maxAgeMs`, else a look of at most `maxWaitMs`. Null: it does not run here, or there was no time. */
  measureDirty(serverId: ServerId, maxAgeMs: number, maxWaitMs: number): Promise<DirtyReport | null>;

  prepareIncoming(grant: Grant, guest: WantedGuest, policy: MigrationPolicy, source: PeerAddress): Promise<IncomingReady>;
  startOutgoing(grant: Grant, ready: IncomingReady, policy: MigrationPolicy, destination: PeerAddress): Promise<MigrationReport>;
  setMigrationPolicy(authority: Authority, migrationId: MigrationId, policy: MigrationPolicy): Promise<MigrationReport>;
  cancelOutgoing(grant: Grant): Promise<MigrationReport>;
  /** After the destination forfeited the grant: a released copy runs on here under its old epoch; one that runs is left alone. */
  resumeOutgoing(grant: Grant): Promise<MigrationReport>;
  forfeitIncoming(
    grant: Grant,
    deleteDisks: boolean,
    guest: WantedGuest | null,
  ): Promise<{ readonly answer: TakeAnswer; readonly detail: string }>;
  relayRelease(release: ReleaseNotice): Promise<MigrationReport>;
  /** The guest's clock by this host's, through the agent inside the guest; ends within seconds, whatever that does. Throws when there is no channel for one. */
  syncGuestTime(authority: Authority): Promise<GuestTime>;
  finishIncoming(authority: Authority, migrationId: MigrationId): Promise<MigrationReport>;
  dropOutgoing(authority: Authority, migrationId: MigrationId, deleteDisks: boolean, guest: WantedGuest | null): Promise<boolean>;

  /** Source of a cold move: `destination` may read the guest's local disks. Returns the size of their files. */
  offerDisks(authority: Authority, migrationId: MigrationId, destination: HostId, guest: WantedGuest): Promise<number>;
  /** A disk as it is at one moment, as the file of a qcow2 that stands alone; of a guest that runs here under this authority's epoch, or runs nowhere. Nothing of it is left when the stream ends. */
  snapshotDisk(authority: Authority, guest: WantedGuest, diskId: string, signal: AbortSignal): AsyncIterable<DiskChunk>;
  /** For the host that it was offered to. */
  readDisk(from: HostId, migrationId: MigrationId, diskId: string): AsyncIterable<DiskChunk>;
  /** For a host of this cloud that receives a guest: an image out of this host's pools. */
  readImage(pool: string, image: ImageRef): AsyncIterable<DiskChunk>;
  /** Destination of a cold move: the guest's local disks are whole and durable here when it returns. */
  fetchDisks(
    authority: Authority,
    migrationId: MigrationId,
    source: PeerAddress,
    guest: WantedGuest,
    copied: (bytes: number) => void,
  ): Promise<void>;

  /** From the source, authenticated as `release.source`. Answers once the guest runs here (or cannot). */
  release(release: ReleaseNotice): Promise<ReleaseAnswer>;
  /** `busyPorts`: UDP ports that the source receives on, and where it can therefore not send to. */
  setNetworkOpen(from: HostId, migrationId: MigrationId, open: boolean, busyPorts: readonly number[]): Promise<NetworkEncapsulation | null>;
  /** From the source: the connections of the guest's ports, for the taps here. */
  carryFlows(from: HostId, migrationId: MigrationId, flows: CarriedFlows): Promise<void>;
  /** For guests that are here; of two policies for one port the higher number holds. */
  setNetworkPolicy(policy: NetworkPolicy): Promise<void>;
  /** This host's clock as the agent tells it, UTC ms with a fraction. */
  nowMs(): number;
  /** Lets go of sockets and timers; guests run on. */
  close(): Promise<void>;
};
