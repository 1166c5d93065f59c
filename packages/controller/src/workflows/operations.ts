import type { PartialPolicy } from '@godwit/domain/convergence/resolve-policy';
import type { MigrationId, ServerId } from '@godwit/domain/ids';
import type { FencedHost } from '../hosts/fence-host.ts';
import type { InterfaceRequest } from '../networks/attach-port.ts';
import type { RebuildRequest } from './accept/rebuild.ts';
import type { SnapshotRequest } from './accept/snapshot.ts';
import type { UnshelveRequest } from './accept/unshelve.ts';
import type { EvacuateRequest } from './evacuate/accept-evacuate.ts';

/** Who asks, as the token says; `requestId` is the `req-<uuid>` of the API answer. */
export type Caller = {
  readonly userId: string;
  readonly projectId: string;
  readonly roles: readonly string[];
  readonly isAdmin: boolean;
  readonly requestId: string;
};

export type CreateServers = {
  readonly name: string;
  readonly description: string | null;
  readonly imageId: string | null;
  readonly flavorId: string;
  readonly minCount: number;
  readonly maxCount: number;
  readonly networks: 'auto' | 'none' | readonly ({ readonly networkId: string; readonly fixedIp?: string } | { readonly portId: string })[];
  readonly availabilityZone: string | null;
  /** Requested host or hypervisor host name (2.74, or `zone:host` by an admin). Still checked by every filter. */
  readonly host: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly keyName: string | null;
  readonly userData: string | null;
  readonly configDrive: boolean;
  /** Not the one made of the name. */
  readonly hostname?: string;
  readonly diskConfig: 'AUTO' | 'MANUAL';
  /** Names or ids, for the ports that are made; absent: the project's default group. */
  readonly securityGroups?: readonly string[];
  readonly hints: { readonly group?: string; readonly same_host?: readonly string[]; readonly different_host?: readonly string[] };
};

export type LiveMigrateRequest = {
  /** null: the scheduler picks. */
  readonly host: string | null;
  readonly blockMigration: boolean | 'auto';
  /** A local disk need not fit at the destination at its full size. */
  readonly diskOverCommit?: boolean;
  readonly force: boolean;
  /** Below 2.34: scheduling and pre-checks happen before the answer, and a refusal is thrown (HTTP 400) instead of recorded. */
  readonly checksBeforeAnswer: boolean;
  /** What it may cost, as far as the request says; the rest is the flavor's, the project's, the cloud's. */
  readonly policy?: PartialPolicy;
  /** Bytes per second; without it, what the links allow. */
  readonly maxBandwidthBytes?: number;
};

export type MigrateRequest = {
  /** null: the scheduler picks. */
  readonly host: string | null;
};

/** Between what the flavor has and its `godwit:max_vcpus` and `godwit:max_ram_mib`; at least one of them, the other stays. */
export type ScaleRequest = { readonly vcpus?: number; readonly ramMib?: number };

export type ResizeRequest = { readonly flavorId: string };

/**
 * What the compute API can ask of the workflows. Each resolves when the change is *accepted*: task_state set by
 * compare-and-set, action recorded, workflow enqueued — one transaction. Each throws GodwitError (nothing changed):
 * ServerNotFound, ServerLocked, InvalidState, BareMetalCannotMigrate, HostNotFound, … in the contract's order.
 */
export type ServerOperations = {
  create(
    caller: Caller,
    request: CreateServers,
  ): Promise<{ readonly serverIds: readonly ServerId[]; readonly reservationId: string; readonly adminPass: string }>;
  delete(caller: Caller, server: ServerId): Promise<void>;
  start(caller: Caller, server: ServerId): Promise<void>;
  stop(caller: Caller, server: ServerId): Promise<void>;
  pause(caller: Caller, server: ServerId): Promise<void>;
  unpause(caller: Caller, server: ServerId): Promise<void>;
  /** Saves the guest's memory to a file on its host, and ends it there; and lets it go on from it, there. */
  suspend(caller: Caller, server: ServerId): Promise<void>;
  resume(caller: Caller, server: ServerId): Promise<void>;
  reboot(caller: Caller, server: ServerId, type: 'SOFT' | 'HARD'): Promise<void>;
  liveMigrate(caller: Caller, server: ServerId, request: LiveMigrateRequest): Promise<MigrationId>;
  migrate(caller: Caller, server: ServerId, request: MigrateRequest): Promise<MigrationId>;
  resize(caller: Caller, server: ServerId, request: ResizeRequest): Promise<MigrationId>;
  confirmResize(caller: Caller, server: ServerId): Promise<void>;
  revertResize(caller: Caller, server: ServerId): Promise<void>;
  /** Puts an image in place of what is on the server's disk. */
  rebuild(caller: Caller, server: ServerId, request: RebuildRequest): Promise<void>;
  /** Boots the server from another image (null: its own), with its disk as the second; and back. */
  rescue(caller: Caller, server: ServerId, imageId: string | null): Promise<void>;
  unrescue(caller: Caller, server: ServerId): Promise<void>;
  /** Makes an image of the server's disk; the id of the image, which is `queued` until it is whole. */
  snapshot(caller: Caller, server: ServerId, request: SnapshotRequest): Promise<string>;
  /** Shuts a server down and keeps its disk as an image; whether its place on its host is given up at once is the cloud's setting. */
  shelve(caller: Caller, server: ServerId): Promise<void>;
  /** Gives up what a shelved server has on its host. */
  shelveOffload(caller: Caller, server: ServerId): Promise<void>;
  unshelve(caller: Caller, server: ServerId, request: UnshelveRequest): Promise<void>;
  /** Gives a server one more interface, or takes one away; done when the action's event has ended. */
  attachInterface(
    caller: Caller,
    server: ServerId,
    request: InterfaceRequest,
  ): Promise<{ readonly portId: string; readonly actionId: number }>;
  detachInterface(caller: Caller, server: ServerId, portId: string): Promise<void>;
  /** Gives a server another number of vCPUs, or another amount of memory, where it is; done when the action's event has ended. */
  scale(caller: Caller, server: ServerId, request: ScaleRequest): Promise<{ readonly actionId: number }>;
  /** Restarts a server of a dead host elsewhere; see evacuate/accept-evacuate.ts. */
  evacuate(caller: Caller, server: ServerId, request: EvacuateRequest): Promise<MigrationId>;
  /** Cancels a live migration before the release; the route has checked the contract's states. */
  abortMigration(caller: Caller, migration: MigrationId): Promise<void>;
  /** Stops the guest now and finishes the copy; the route has checked the contract's states. */
  forceComplete(caller: Caller, migration: MigrationId): Promise<void>;
  /** Bytes per second of one live migration, also while it copies; null: no cap of its own. */
  capMigration(migration: MigrationId, maxBandwidthBytes: number | null): Promise<void>;
  /** What one live migration may cost from now on, also while it copies; fields that are not given stay. */
  changePolicy(migration: MigrationId, change: PartialPolicy): Promise<void>;
  /** Bytes per second of all migrations over one host's link; null: all of it. */
  capLink(hostName: string, bytesPerSecond: number | null): Promise<void>;
  /** An operator's word that a host can run and reach nothing any more; see hosts/fence-host.ts. */
  fenceHost(caller: Caller, name: string): Promise<FencedHost>;
};
