import { randomBytes } from 'node:crypto';
import type { ServerId } from '@godwit/domain/ids';
import { zoneOfHost } from '../../hosts/host-zone.ts';
import type { Db } from '../../store/database.ts';
import { configDriveFiles } from './config-drive-files.ts';

/** Writes down what the server's config drive says, if it has one and that is not written yet: it stays the same until a rebuild, on whatever host the drive is made. */
export async function writeConfigDrive(db: Db, serverId: ServerId): Promise<void> {
  const server = await db
    .selectFrom('server')
    .select(['name', 'hostname', 'project_id', 'user_id', 'launch_index', 'metadata', 'key_name', 'user_data'])
    .select(zoneOfHost('server.host_id').as('zone'))
    .where('id', '=', serverId)
    .where('config_drive', '=', true)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('config_drive').select('server_id').whereRef('config_drive.server_id', '=', 'server.id'))),
    )
    .executeTakeFirst();
  if (server === undefined) return;
  const key =
    server.key_name === null
      ? undefined
      : await db
          .selectFrom('keypair')
          .select(['name', 'type', 'public_key'])
          .where('user_id', '=', server.user_id)
          .where('name', '=', server.key_name)
          .executeTakeFirst();
  const [ports, subnets] = await Promise.all([
    db
      .selectFrom('port')
      .innerJoin('network', 'network.id', 'port.network_id')
      .select(['port.id', 'port.network_id', 'port.mac', 'port.fixed_ips', 'network.mtu'])
      .where('port.server_id', '=', serverId)
      .orderBy('port.device_index')
      .execute(),
    db
      .selectFrom('subnet')
      .innerJoin('port', 'port.network_id', 'subnet.network_id')
      .select(['subnet.id', 'subnet.dns_nameservers'])
      .where('port.server_id', '=', serverId)
      .execute(),
  ]);
  const dns = new Map(subnets.map((subnet) => [subnet.id, subnet.dns_nameservers]));
  const files = configDriveFiles({
    serverId,
    name: server.name,
    hostname: server.hostname,
    projectId: server.project_id,
    zone: server.zone,
    launchIndex: server.launch_index,
    metadata: server.metadata,
    key: key === undefined ? null : { name: key.name, type: key.type, data: key.public_key },
    userData: server.user_data,
    randomSeed: randomBytes(512).toString('base64'),
    ports: ports.map(({ id, network_id: networkId, mac, mtu, fixed_ips }) => ({
      id,
      networkId,
      mac,
      mtu,
      addresses: fixed_ips.map(({ address, prefixLength, gateway, subnetId }) => ({
        address,
        prefixLength,
        gateway,
        dns: dns.get(subnetId) ?? [],
      })),
    })),
  });
  await db
    .insertInto('config_drive')
    .values({ server_id: serverId, files: JSON.stringify(files) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
