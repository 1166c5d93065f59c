import { GodwitError } from '@godwit/domain/errors';
import { type DiskSpec, type GuestSpec, type NicSpec, slotOf } from '@godwit/domain/guest-spec';
import { tapName } from '../../network/tap.ts';
import { consoleDirOf, diskSpec } from '../../storage/disk-store.ts';
import { imagePath } from '../../storage/image-cache.ts';
import { type Pool, sharesFiles } from '../../storage/pool.ts';
import type { WantedDisk, WantedGuest } from '../wanted-guest.ts';

/** What this host gives a guest that leaves it open. */
export type HostDefaults = { readonly accelerator: 'tcg' | 'kvm'; readonly machineType: string; readonly cpuModel: string };

/**
 * A guest as this host would run it. Pure: touches no disk. Throws GodwitError PoolUnavailable when it names a pool that this host does not have, BadRequest for a disk
 * that QEMU cannot address.
 */
export function guestSpecOf(guest: WantedGuest, pools: ReadonlyMap<string, Pool>, defaults: HostDefaults): GuestSpec {
  // On a pool that other hosts see, the console log goes on across moves by itself.
  const shared = guest.disks.map((disk) => poolNamed(pools, disk.pool)).find(sharesFiles) ?? [...pools.values()].find(sharesFiles);
  return {
    serverId: guest.serverId,
    name: guest.name,
    vcpus: guest.vcpus,
    ...(guest.maxVcpus !== undefined && { maxVcpus: guest.maxVcpus }),
    ramMib: guest.ramMib,
    ...(guest.maxRamMib !== undefined && { maxRamMib: guest.maxRamMib }),
    ...(guest.addedRamMib !== undefined && { addedRamMib: guest.addedRamMib }),
    machineType: guest.machineType || defaults.machineType,
    cpuModel: guest.cpuModel || defaults.cpuModel,
    accelerator: defaults.accelerator,
    deviceLayout: guest.deviceLayout,
    disks: guest.disks.map((disk) => diskSpecOf(guest, disk, poolNamed(pools, disk.pool))),
    nics: guest.nics.map(
      (nic, position): NicSpec => ({
        portId: nic.portId,
        mac: nic.mac,
        tapName: tapName(nic.portId),
        networkId: nic.networkId,
        ...(nic.mtu > 0 && { mtu: nic.mtu }),
        ...(nic.vlan !== undefined && { vlan: nic.vlan }),
        slot: slotOf(nic, position),
      }),
    ),
    ...(guest.directBoot && { directBoot: directBootOf(guest, guest.directBoot, bootPool(guest, pools)) }),
    graphics: guest.display ?? 'none',
    balloon: false,
    ...(guest.guestAgent && { guestAgent: true }),
    ...(shared && { consoleDir: consoleDirOf(shared, guest.serverId) }),
  };
}

export function poolNamed(pools: ReadonlyMap<string, Pool>, name: string): Pool {
  const pool = pools.get(name);
  if (!pool) throw new GodwitError('PoolUnavailable', `this host has no storage pool ${JSON.stringify(name)}`);
  return pool;
}

/** Where a guest's kernel and ramdisk lie: the pool of its first disk, else the first pool of the host. */
export function bootPool(guest: WantedGuest, pools: ReadonlyMap<string, Pool>): Pool {
  const name = guest.disks[0]?.pool ?? [...pools.keys()][0];
  if (name === undefined) throw new GodwitError('PoolUnavailable', 'this host has no storage pool to keep a kernel in');
  return poolNamed(pools, name);
}

/** The disk as this host would open it. */
export const diskSpecOf = (guest: WantedGuest, disk: WantedDisk, pool: Pool): DiskSpec =>
  diskSpec(pool, {
    serverId: guest.serverId,
    diskId: disk.diskId,
    format: disk.format,
    sizeBytes: disk.sizeBytes,
    ...(disk.image && { image: { path: imagePath(pool, disk.image), format: disk.image.format, virtualSizeBytes: 0 } }),
  });

function directBootOf(guest: WantedGuest, boot: NonNullable<WantedGuest['directBoot']>, pool: Pool): NonNullable<GuestSpec['directBoot']> {
  const path = (imageId: typeof boot.kernelImageId): string => imagePath(pool, { imageId, format: 'blob', sha512: '' });
  return {
    kernelPath: path(boot.kernelImageId),
    ...(boot.ramdiskImageId && { initrdPath: path(boot.ramdiskImageId) }),
    commandLine: withAddress(boot.commandLine, guest),
  };
}

/** Appends the kernel's `ip=` for the first address of the first port, unless the command line has its own. */
function withAddress(commandLine: string, guest: WantedGuest): string {
  const address = guest.nics[0]?.fixedIps[0];
  if (!address || address.address.includes(':') || /(^|\s)ip=/.test(commandLine)) return commandLine;
  const host = /^[A-Za-z0-9.-]+$/.test(guest.hostname) ? guest.hostname : '';
  return `${commandLine} ip=${address.address}::${address.gateway}:${netmask(address.prefixLength)}:${host}:eth0:off`.trim();
}

function netmask(prefixLength: number): string {
  const bits = prefixLength === 0 ? 0 : (0xffff_ffff << (32 - prefixLength)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.');
}
