import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Tx } from '../store/database.ts';
import type { CreateServers } from '../workflows/operations.ts';
import type { AllocatedAddress } from './allocate-address.ts';
import { createPort } from './create-port.ts';
import { findGroups, noteMember } from './security-groups.ts';
import { visibleNetworks } from './visible-networks.ts';

export type ServerPort = {
  readonly portId: string;
  readonly networkId: string;
  readonly networkName: string;
  readonly mac: string;
  readonly mtu: number;
  /** null: the agent's guest bridge. */
  readonly bridge: string | null;
  readonly fixedIps: readonly AllocatedAddress[];
};

export type PortRequest = {
  readonly caller: { readonly projectId: string; readonly isAdmin: boolean };
  readonly serverId: string;
  readonly networks: CreateServers['networks'];
  /** Names or ids, for the ports that are made; absent: the project's default group. */
  readonly securityGroups?: readonly string[];
};

/**
 * Gives a server that is being created its ports, in the order asked for (device_index), in the transaction that inserts the server (its row must be there).
 * `auto` is the only network that the project can see; none at all gives no port. Nothing is taken when it throws and the caller rolls back:
 * Conflict (several networks for `auto`, no address left, port in use), BadRequest (unknown network or port, address that does not fit or is in use).
 */
export async function allocatePorts(tx: Tx, request: PortRequest): Promise<readonly ServerPort[]> {
  const { networks, caller, serverId } = request;
  const { securityGroups } = request;
  const groupIds = securityGroups === undefined ? undefined : await findGroups(tx, caller.projectId, securityGroups).catch(asBadRequest);
  if (networks === 'none') return [];
  if (networks === 'auto') {
    const only = await onlyNetwork(tx, caller.projectId);
    return only === null ? [] : [await portOn(tx, request, only, 0, undefined, groupIds)];
  }
  const ports: ServerPort[] = [];
  for (const [index, asked] of networks.entries()) {
    ports.push(
      'portId' in asked
        ? await bindPort(tx, request, asked.portId, index)
        : await portOn(tx, request, asked.networkId, index, asked.fixedIp, groupIds).catch((error: unknown) => {
            // For a create, an address that is taken is a mistake in the request (compute API reference: 400).
            if (asked.fixedIp !== undefined && error instanceof GodwitError && error.code === 'Conflict')
              throw new GodwitError('BadRequest', error.message, {}, { cause: error });
            throw error;
          }),
    );
  }
  const bound = await tx.selectFrom('port').select('id').where('server_id', '=', serverId).execute();
  if (bound.length !== ports.length) throw new GodwitError('Internal', `server ${serverId} was given ports before`);
  return ports;
}

/**
 * Takes its ports, or one of them, from a server, in the caller's transaction: those made for it are deleted with their addresses, the others are unbound and keep
 * theirs. Harmless to repeat.
 */
export async function releasePorts(tx: Tx, serverId: string, portId?: string): Promise<void> {
  const ports = await tx
    .selectFrom('port')
    .select('id')
    .where('server_id', '=', serverId)
    .$if(portId !== undefined, (all) => all.where('id', '=', portId ?? ''))
    .execute();
  const ids = ports.map(({ id }) => id);
  if (ids.length === 0) return;
  await noteMember(tx, ids);
  await tx.deleteFrom('port').where('id', 'in', ids).where('delete_with_server', '=', true).execute();
  await tx
    .updateTable('port')
    .set({ server_id: null, device_index: null, host_id: null, status: 'DOWN', tag: null, updated_at: sql`now()` })
    .where('id', 'in', ids)
    .execute();
}

/** The only network that is the project's or open to it; null: there is none. An admin sees every project's networks; what is meant is still those of the project. Throws Conflict for several. */
export async function onlyNetwork(tx: Tx, projectId: string): Promise<string | null> {
  const visible = await tx
    .selectFrom('network')
    .select('id')
    .where(visibleNetworks({ projectId, isAdmin: false }))
    .where('admin_state_up', '=', true)
    .orderBy('created_at')
    .limit(2)
    .execute();
  if (visible.length > 1) throw new GodwitError('Conflict', 'Multiple possible networks found, use a Network ID to be more specific.');
  return visible[0]?.id ?? null;
}

export async function portOn(
  tx: Tx,
  { caller, serverId }: PortRequest,
  networkId: string,
  deviceIndex: number,
  fixedIp: string | undefined,
  groupIds: readonly string[] | undefined,
): Promise<ServerPort> {
  const network = await tx
    .selectFrom('network')
    .selectAll()
    .where(visibleNetworks(caller))
    .where(sql<boolean>`id::text = ${networkId}`)
    .executeTakeFirst();
  if (network === undefined) throw new GodwitError('BadRequest', `Network ${networkId} could not be found.`);
  if (!network.admin_state_up) throw new GodwitError('BadRequest', `Network ${networkId} is administratively down.`);
  const port = await createPort(tx, {
    networkId: network.id,
    projectId: caller.projectId,
    serverId,
    deviceIndex,
    deleteWithServer: true,
    portSecurity: network.port_security_enabled,
    ...(groupIds === undefined || !network.port_security_enabled ? {} : { securityGroupIds: groupIds }),
    ...(fixedIp === undefined ? {} : { fixedIps: [{ address: fixedIp }] }),
  }).catch((error: unknown) => {
    if (fixedIp !== undefined && error instanceof GodwitError && error.code === 'Conflict')
      throw new GodwitError('Conflict', `Fixed IP address ${fixedIp} is already in use.`, {}, { cause: error });
    throw error;
  });
  return {
    portId: port.id,
    networkId: network.id,
    networkName: network.name,
    mac: port.mac,
    mtu: network.mtu,
    bridge: network.bridge,
    fixedIps: port.fixedIps,
  };
}

/** For a create, a group that is not there is a mistake in the request (compute API reference: 400). */
function asBadRequest(error: unknown): never {
  if (error instanceof GodwitError && (error.code === 'NotFound' || error.code === 'Conflict'))
    throw new GodwitError('BadRequest', error.message, {}, { cause: error });
  throw error;
}

export async function bindPort(tx: Tx, { caller, serverId }: PortRequest, portId: string, deviceIndex: number): Promise<ServerPort> {
  const port = await tx.selectFrom('port').selectAll().where(sql<boolean>`id::text = ${portId}`).forUpdate().executeTakeFirst();
  if (port === undefined || (!caller.isAdmin && port.project_id !== caller.projectId))
    throw new GodwitError('BadRequest', `Port id ${portId} could not be found.`);
  if (port.server_id !== null) throw new GodwitError('Conflict', `Port ${portId} is still in use.`);
  await tx
    .updateTable('port')
    .set({ server_id: serverId, device_index: deviceIndex, updated_at: sql`now()` })
    .where('id', '=', port.id)
    .execute();
  const network = await tx.selectFrom('network').selectAll().where('id', '=', port.network_id).executeTakeFirstOrThrow();
  return {
    portId: port.id,
    networkId: network.id,
    networkName: network.name,
    mac: port.mac,
    mtu: network.mtu,
    bridge: network.bridge,
    fixedIps: port.fixed_ips,
  };
}
