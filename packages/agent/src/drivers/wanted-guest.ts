import type { DeviceLayout, DiskFormat } from '@godwit/domain/guest-spec';
import type { ImageId, NetworkId, PortId, ProjectId, ServerId } from '@godwit/domain/ids';
import type { NetworkPolicy } from '@godwit/domain/network-policy';

/** A guest as the controller wants it: names of pools, images and networks, no path of any host. */
export type WantedGuest = {
  readonly serverId: ServerId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly hostname: string;
  readonly vcpus: number;
  /** That it can have without being started anew; absent: no more than it has. */
  readonly maxVcpus?: number;
  readonly ramMib: number;
  /** That it can have without being started anew; absent: no more than `ramMib`. */
  readonly maxRamMib?: number;
  /** Beyond `ramMib`. */
  readonly addedRamMib?: number;
  /** Empty at creation: the host's default; pinned from then on. */
  readonly machineType: string;
  readonly cpuModel: string;
  readonly deviceLayout: DeviceLayout;
  readonly disks: readonly WantedDisk[];
  readonly nics: readonly WantedNic[];
  readonly directBoot: WantedDirectBoot | null;
  /** Files of its config drive; absent: it has none. */
  readonly configDrive?: readonly ConfigFile[];
  /** Of its ports; absent: nothing is filtered. */
  readonly networkPolicy?: NetworkPolicy;
  /** Absent: a serial console alone. */
  readonly display?: 'vnc';
  /** Its machine has a channel for the QEMU guest agent. Absent: none. */
  readonly guestAgent?: true;
};

export type ConfigFile = { readonly path: string; readonly content: Uint8Array };

export type WantedDisk = {
  readonly diskId: string;
  readonly pool: string;
  readonly format: DiskFormat;
  readonly sizeBytes: number;
  /** null: blank. */
  readonly image: WantedImage | null;
  /** The guest has run with it: it is never made anew. */
  readonly exists?: boolean;
};

export type WantedImage = { readonly imageId: ImageId; readonly format: DiskFormat; readonly sha512: string };

export type WantedNic = {
  readonly portId: PortId;
  readonly networkId: NetworkId;
  readonly mac: string;
  readonly fixedIps: readonly { readonly address: string; readonly prefixLength: number; readonly gateway: string }[];
  /** 0: the network's default. */
  readonly mtu: number;
  /** Empty: the agent's configured guest bridge. */
  readonly bridge: string;
  /** Absent: untagged. */
  readonly vlan?: number;
  /** Absent: its position in the list. */
  readonly slot?: number;
};

export type WantedDirectBoot = { readonly kernelImageId: ImageId; readonly ramdiskImageId: ImageId | null; readonly commandLine: string };
