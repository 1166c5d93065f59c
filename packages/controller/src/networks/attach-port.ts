import { GodwitError } from '@godwit/domain/errors';
import { guestLimits } from '@godwit/domain/guest-spec';
import { sql } from 'kysely';
import type { Tx } from '../store/database.ts';
import { bindPort, onlyNetwork, type PortRequest, portOn } from './allocate-ports.ts';
import { demandVlanReach } from './provider-network.ts';
import { noteMember } from './security-groups.ts';
import { visibleNetworks } from './visible-networks.ts';

/** What an interface is made of: an existing port, a new one on a network, or on the only network there is. */
export type InterfaceRequest = {
  readonly portId?: string;
  readonly networkId?: string;
  readonly fixedIp?: string;
  readonly tag?: string;
};

/**
 * Gives a server that exists one more port, in the lowest of its places that is free, in the caller's transaction (the server's row is locked). Returns the port's id. Throws, nothing taken when the caller
 * rolls back: NotFound (network or port), Conflict (port or address in use), BadRequest (no network, several, no address left, an address that does not fit), NoFreeDeviceSlot, Conflict where the server's host carries no VLANs and the network is one.
 */
export async function attachPort(tx: Tx, caller: PortRequest['caller'], serverId: string, request: InterfaceRequest): Promise<string> {
  const taken = await tx.selectFrom('port').select('device_index').where('server_id', '=', serverId).execute();
  const slot = Array.from({ length: guestLimits.nics }, (_none, place) => place).find(
    (place) => !taken.some(({ device_index }) => device_index === place),
  );
  if (slot === undefined)
    throw new GodwitError('NoFreeDeviceSlot', `Instance ${serverId} has ${guestLimits.nics} interfaces, and no place for another one.`);
  const portId = await chosenPort(tx, { caller, serverId, networks: 'none' }, slot, request);
  const { network_id } = await tx.selectFrom('port').select('network_id').where('id', '=', portId).executeTakeFirstOrThrow();
  await demandVlanReach(tx, serverId, network_id);
  if (request.tag !== undefined) await tx.updateTable('port').set({ tag: request.tag }).where('id', '=', portId).execute();
  return portId;
}

async function chosenPort(tx: Tx, request: PortRequest, slot: number, { portId, networkId, fixedIp }: InterfaceRequest): Promise<string> {
  const { caller } = request;
  if (portId !== undefined) {
    const port = await tx.selectFrom('port').select('project_id').where(sql<boolean>`id::text = ${portId}`).executeTakeFirst();
    if (port === undefined || (!caller.isAdmin && port.project_id !== caller.projectId))
      throw new GodwitError('NotFound', `Port id ${portId} could not be found.`);
    const bound = await bindPort(tx, request, portId, slot);
    await noteMember(tx, [bound.portId]);
    return bound.portId;
  }
  const network = networkId ?? (await onlyNetwork(tx, caller.projectId).catch(asBadRequest));
  if (network === null) throw new GodwitError('BadRequest', `No network to attach an interface of instance ${request.serverId} to.`);
  const known = await tx
    .selectFrom('network')
    .select('id')
    .where(visibleNetworks(caller))
    .where(sql<boolean>`id::text = ${network}`)
    .executeTakeFirst();
  if (known === undefined) throw new GodwitError('NotFound', `Network ${network} could not be found.`);
  // An address that was asked for and is taken is a conflict; that none is left is not.
  const made = await portOn(tx, request, known.id, slot, fixedIp, undefined).catch(fixedIp === undefined ? asBadRequest : rethrow);
  return made.portId;
}

function rethrow(error: unknown): never {
  throw error;
}

function asBadRequest(error: unknown): never {
  if (error instanceof GodwitError && error.code === 'Conflict') throw new GodwitError('BadRequest', error.message, {}, { cause: error });
  throw error;
}
