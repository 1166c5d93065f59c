import type { DeviceLayout } from '../guest-spec.ts';
import type { HypervisorType, StorageKind } from '../host.ts';
import type { HostId, ServerGroupId, ServerId } from '../ids.ts';
import type { Resources } from './host-state.ts';

export type DecisionKind = 'create' | 'live-migration' | 'migration' | 'resize' | 'evacuation' | 'unshelve';

export type DemandedFlavor = Resources & {
  readonly name: string;
  readonly extraSpecs: Readonly<Record<string, string>>;
};

/** A disk that the destination must be able to open or to receive. */
export type DemandedDisk =
  | {
      /** Exists on shared storage: only hosts with this very pool, by the same name, can open it. `poolId` null: no host has reported the pool. */
      readonly kind: 'shared';
      readonly pool: string;
      readonly poolId: string | null;
    }
  | {
      /** Exists on the current host alone: it must be copied into a local pool of the same name. */
      readonly kind: 'local';
      readonly pool: string;
      /** What has to fit at the destination: bytes in use where known, else the disk's size. */
      readonly neededBytes: number;
    }
  | {
      /** Does not exist yet: any pool of `storage` (or any at all) with room for it. */
      readonly kind: 'new';
      readonly storage: StorageKind | 'any';
      readonly neededBytes: number;
    };

export type GroupMember = {
  readonly id: ServerId;
  readonly name: string;
  /** Every host that holds resources for the member: two while it moves, none before it is placed. */
  readonly hosts: readonly { readonly id: HostId; readonly name: string }[];
};

export type DemandedGroup = {
  readonly id: ServerGroupId;
  readonly name: string;
  readonly policy: 'affinity' | 'anti-affinity' | 'soft-affinity' | 'soft-anti-affinity';
  /** Anti-affinity only; null means 1. */
  readonly maxServerPerHost: number | null;
  /** Live members without the server that is to be placed. */
  readonly members: readonly GroupMember[];
};

/** A server named in a same_host / different_host hint, with every host that holds resources for it. */
export type HintedServer = GroupMember;

/** What one server needs from a host. Everything is looked up before the decision; nothing in here changes during it. */
export type ServerDemand = {
  readonly kind: DecisionKind;
  readonly server: { readonly id: ServerId; readonly name: string };
  readonly flavor: DemandedFlavor;
  readonly hypervisorType: HypervisorType;
  readonly disks: readonly DemandedDisk[];
  /** Whether local disks may be copied (`block_migration` true or auto; always for cold moves). */
  readonly copiesLocalDisks: boolean;
  /** Bridges that the ports need; a network without one is reachable everywhere. */
  readonly networks: readonly { readonly name: string; readonly bridge: string | null; readonly vlan: number | null }[];
  readonly group: DemandedGroup | null;
  readonly hints: { readonly sameHost: readonly HintedServer[]; readonly differentHost: readonly HintedServer[] };
  /** The zone named at creation: the server stays in it in every move. Null: it may cross. */
  readonly requestedZone: string | null;
  readonly requestedHost: { readonly id: HostId; readonly name: string } | null;
  /** Null only when the server is nowhere yet (create, unshelve). */
  readonly currentHost: { readonly id: HostId; readonly name: string } | null;
  /** Hosts that already failed in this operation, with why ("preparing failed: no space"). */
  readonly excludedHosts: readonly { readonly id: HostId; readonly reason: string }[];
  /** Pinned at the first start; null before it. */
  readonly machineType: string | null;
  /** Pinned at the first start; null before it: the hosts' common one is chosen then. */
  readonly deviceLayout: DeviceLayout | null;
  /** Its machine has a channel for the QEMU guest agent. Absent: none. */
  readonly guestAgent?: boolean;
  /** Where its network cards are, ascending. */
  readonly portPlaces: readonly number[];
  /** CPU features that the running guest has been shown; null when it starts anew and any CPU will do. */
  readonly cpuFeatures: readonly string[] | null;
  /** The named model that the running guest has been given; null or absent as above, or when none is known. */
  readonly cpuModel?: string | null;
  /** Of the QEMU and accelerator that run the guest now; null when RAM does not move. */
  readonly runningOn: { readonly qemuVersion: string; readonly accelerator: string } | null;
};
