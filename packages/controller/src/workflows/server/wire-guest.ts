import { create } from '@bufbuild/protobuf';
import { type Guest, GuestSchema } from '@godwit/contract/gen/guest_pb';
import type { ServerId } from '@godwit/domain/ids';
import { maxRamOf, maxVcpusOf, ramOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { networkPolicy } from '../../networks/network-policy.ts';
import type { Db } from '../../store/database.ts';
import { clusterCpuModel } from './cluster-cpu-model.ts';
import { clusterDeviceLayout } from './cluster-device-layout.ts';
import { displayOf } from './display-of.ts';
import { machineHasGuestAgent } from './machine-guest-agent.ts';
import { readServer } from './server-record.ts';

/** The guest as an agent is asked for it, from the rows of server, disks, images, ports and networks. */
export async function wireGuest(db: Db, serverId: ServerId, machine: 'asked' | 'running' = 'asked'): Promise<Guest> {
  const [server, disks, ports, policy] = await Promise.all([
    readServer(db, serverId),
    db
      .selectFrom('disk')
      .leftJoin('image', 'image.id', 'disk.image_id')
      .select([
        'disk.id',
        'disk.pool',
        'disk.format',
        'disk.size_bytes',
        'disk.image_id',
        'disk.fresh',
        'image.disk_format',
        'image.sha512',
      ])
      .where('disk.server_id', '=', serverId)
      .orderBy('disk.device_index')
      .execute(),
    db
      .selectFrom('port')
      .innerJoin('network', 'network.id', 'port.network_id')
      .select([
        'port.id',
        'port.network_id',
        'port.mac',
        'port.fixed_ips',
        'port.device_index',
        'network.mtu',
        'network.bridge',
        'network.vlan',
      ])
      .where('port.server_id', '=', serverId)
      .orderBy('port.device_index')
      .execute(),
    networkPolicy(db, { serverId }),
  ]);
  const boot = server.rescue === null ? server.direct_boot : server.rescue.directBoot;
  const drive = server.config_drive
    ? await db.selectFrom('config_drive').select('files').where('server_id', '=', serverId).executeTakeFirst()
    : undefined;
  return create(GuestSchema, {
    serverId,
    projectId: server.project_id,
    name: server.name,
    hostname: server.hostname,
    networkPolicyJson: JSON.stringify(policy),
    vcpus: vcpusOf(server.flavor),
    maxVcpus: maxVcpusOf(server.flavor) ?? 0,
    ramMib: BigInt(server.flavor.ram_mib),
    maxRamMib: BigInt(maxRamOf(server.flavor) ?? 0),
    addedRamMib: BigInt(ramOf(server.flavor) - server.flavor.ram_mib),
    machineType: server.machine_type ?? '',
    // Chosen at the first start, kept for good.
    cpuModel: server.cpu_model ?? (await clusterCpuModel(db)) ?? '',
    // A controller that knew no layouts has launched it, with the first; else likewise.
    deviceLayout: server.device_layout ?? (server.launched_at === null ? await clusterDeviceLayout(db) : 1),
    display: displayOf(server.flavor),
    guestAgent: machine === 'asked' ? server.guest_agent : machineHasGuestAgent(server),
    configDrive: (drive?.files ?? []).map(({ path, base64 }) => ({ path, content: Buffer.from(base64, 'base64') })),
    disks: disks.map((disk) => ({
      diskId: disk.id,
      pool: disk.pool,
      format: disk.format,
      sizeBytes: BigInt(disk.size_bytes),
      imageId: disk.image_id ?? '',
      imageFormat: disk.image_id === null ? '' : (disk.disk_format ?? ''),
      imageSha512: disk.sha512 ?? '',
      // Launched once: its disks were made then, but for one that has taken another's place since.
      exists: server.launched_at !== null && !disk.fresh,
    })),
    nics: ports.map((port) => ({
      portId: port.id,
      networkId: port.network_id,
      mac: port.mac,
      fixedIps: port.fixed_ips.map((ip) => ({ address: ip.address, prefixLength: ip.prefixLength, gateway: ip.gateway ?? '' })),
      mtu: port.mtu,
      bridge: port.bridge ?? '',
      vlan: port.vlan ?? 0,
      ...(port.device_index === null ? {} : { slot: port.device_index }),
    })),
    ...(boot === null
      ? {}
      : {
          directBoot: { kernelImageId: boot.kernelImageId, ramdiskImageId: boot.ramdiskImageId, commandLine: boot.commandLine },
        }),
  });
}
