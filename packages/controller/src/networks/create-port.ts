import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Tx } from '../store/database.ts';
import { later } from '../store/sparing-pool.ts';
import { type AddressPair, assertSecurity, withMac } from './address-pairs.ts';
import { type AllocatedAddress, allocateAddress, allocateGivenAddress } from './allocate-address.ts';
import { newMac } from './new-mac.ts';
import { defaultGroup, giveGroups } from './security-groups.ts';

export type NewPort = {
  readonly networkId: string;
  readonly projectId: string;
  readonly name?: string;
  readonly description?: string;
  readonly adminStateUp?: boolean;
  readonly mac?: string;
  /** Absent: one address of each IP version that the network has a subnet for. Empty: none. */
  readonly fixedIps?: readonly { readonly subnetId?: string; readonly address?: string }[];
  readonly serverId?: string;
  readonly deviceIndex?: number;
  readonly deleteWithServer?: boolean;
  /** Absent: the project's default group; none where port security is off. */
  readonly securityGroupIds?: readonly string[];
  /** Absent: as the network has it. */
  readonly portSecurity?: boolean;
  readonly allowedAddressPairs?: readonly AddressPair[];
};

export type CreatedPort = { readonly id: string; readonly mac: string; readonly fixedIps: readonly AllocatedAddress[] };

/** Makes a port with its addresses in the caller's transaction. Throws BadRequest for what does not fit the network, Conflict for what is in use. */
export async function createPort(tx: Tx, port: NewPort): Promise<CreatedPort> {
  const id = randomUUID();
  const portSecurity = port.portSecurity ?? (await securityOf(tx, port.networkId));
  const mac = await insertWithMac(tx, id, port, portSecurity);
  const fixedIps = await allocateFixedIps(tx, id, port.networkId, port.fixedIps);
  await sql`${later}update port set fixed_ips = ${JSON.stringify(fixedIps)} where id = ${id}`.execute(tx);
  assertSecurity(portSecurity, port.securityGroupIds ?? [], port.allowedAddressPairs ?? []);
  if (portSecurity) await giveGroups(tx, id, port.securityGroupIds ?? [await defaultGroup(tx, port.projectId)], []);
  return { id, mac, fixedIps };
}

async function securityOf(tx: Tx, networkId: string): Promise<boolean> {
  const network = await tx.selectFrom('network').select('port_security_enabled').where('id', '=', networkId).executeTakeFirst();
  return network?.port_security_enabled ?? true;
}

async function insertWithMac(tx: Tx, id: string, port: NewPort, portSecurity: boolean): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const mac = port.mac ?? newMac();
    const inserted = await tx
      .insertInto('port')
      .values({
        id,
        network_id: port.networkId,
        project_id: port.projectId,
        name: port.name ?? '',
        description: port.description ?? '',
        admin_state_up: port.adminStateUp ?? true,
        server_id: port.serverId ?? null,
        device_index: port.deviceIndex ?? null,
        delete_with_server: port.deleteWithServer ?? false,
        mac,
        host_id: null,
        port_security_enabled: portSecurity,
        allowed_address_pairs: JSON.stringify(withMac(port.allowedAddressPairs ?? [], mac)),
      })
      .onConflict((conflict) => conflict.column('mac').doNothing())
      .returning('mac')
      .execute();
    if (inserted.length > 0) return mac;
    if (port.mac !== undefined)
      throw new GodwitError('Conflict', `Unable to complete operation for network ${port.networkId}. The mac address ${mac} is in use.`);
  }
  throw new GodwitError('Internal', 'no free MAC address was found in 20 attempts');
}

/** The addresses of one port, as asked for or one per IP version. */
export async function allocateFixedIps(
  tx: Tx,
  portId: string,
  networkId: string,
  asked: NewPort['fixedIps'],
): Promise<readonly AllocatedAddress[]> {
  const { rows: subnets } = await sql<{
    id: string;
    version: number;
  }>`select id, family(cidr) as version from subnet where network_id = ${networkId} order by created_at, id`.execute(tx);
  const allocated: AllocatedAddress[] = [];
  if (asked === undefined) {
    for (const version of [4, 6]) {
      const ofVersion = subnets.filter((subnet) => subnet.version === version);
      if (ofVersion.length > 0)
        allocated.push(
          await firstWithRoom(
            tx,
            ofVersion.map((subnet) => subnet.id),
            portId,
            networkId,
          ),
        );
    }
    return allocated;
  }
  for (const { subnetId, address } of asked) {
    if (subnetId !== undefined && !subnets.some((subnet) => subnet.id === subnetId)) {
      throw new GodwitError(
        'BadRequest',
        `Invalid input for operation: Failed to create port on network ${networkId}, because fixed_ips included invalid subnet ${subnetId}.`,
      );
    }
    if (address === undefined) {
      if (subnetId === undefined)
        throw new GodwitError('BadRequest', 'Invalid input for operation: each of fixed_ips needs an ip_address or a subnet_id.');
      allocated.push(await allocateAddress(tx, subnetId, portId));
      continue;
    }
    if (isIP(address) === 0) throw new GodwitError('BadRequest', `'${address.slice(0, 60)}' is not a valid IP address.`);
    const {
      rows: [containing],
    } = await sql<{
      id: string;
    }>`select id from subnet where network_id = ${networkId} and ${address}::inet << cidr and (${subnetId ?? null}::uuid is null or id = ${subnetId ?? null}::uuid) limit 1`.execute(
      tx,
    );
    if (containing === undefined)
      throw new GodwitError('BadRequest', `IP address ${address} is not a valid IP for any of the subnets on the specified network.`);
    allocated.push(await allocateGivenAddress(tx, containing.id, address, portId));
  }
  return allocated;
}

async function firstWithRoom(tx: Tx, subnetIds: readonly string[], portId: string, networkId: string): Promise<AllocatedAddress> {
  for (const subnetId of subnetIds) {
    try {
      return await allocateAddress(tx, subnetId, portId);
    } catch (error) {
      // Exhaustion is found by selects that return nothing: the transaction is still good for the next subnet.
      if (!(error instanceof GodwitError) || error.code !== 'Conflict') throw error;
    }
  }
  throw new GodwitError('Conflict', `No more IP addresses available on network ${networkId}.`);
}
