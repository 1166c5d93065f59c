import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Tx } from '../store/database.ts';
import { APPLICATION_VERSION } from '../workflows/executor.ts';

type Asked = {
  readonly 'provider:network_type'?: 'flat' | 'vlan';
  readonly 'provider:physical_network'?: string | null;
  readonly 'provider:segmentation_id'?: number | null;
};

/** Whether a request says on which wire a network is: an administrator's to say. */
export const isProvider = (asked: Asked): boolean =>
  asked['provider:physical_network'] !== undefined ||
  asked['provider:segmentation_id'] !== undefined ||
  asked['provider:network_type'] !== undefined;

/**
 * Throws Conflict while a controller of another version runs: one that knows no VLANs would place and start guests as if the network were flat. None can come back: it does not start on a newer schema.
 */
export async function demandUpgraded(tx: Tx): Promise<void> {
  const other = await tx
    .selectFrom('executor')
    .select('name')
    .where('application_version', '<>', APPLICATION_VERSION)
    .where('heartbeat_at', '>', sql<Date>`now() - interval '1 minute'`)
    .limit(1)
    .executeTakeFirst();
  if (other !== undefined)
    throw new GodwitError(
      'Conflict',
      `Unable to create the network. Controller ${other.name} is of another version: VLAN networks can be made when all controllers are upgraded.`,
    );
}

/** The VLAN of a network that is asked for; null: it is flat. Throws BadRequest for one without the other. */
export function vlanOf(asked: Asked): number | null {
  const vlan = asked['provider:segmentation_id'] ?? null;
  const isVlan = asked['provider:network_type'] === 'vlan';
  if (isVlan && vlan === null)
    throw new GodwitError('BadRequest', 'Invalid input for operation: segmentation_id required for VLAN provider network.');
  if (!isVlan && vlan !== null)
    throw new GodwitError('BadRequest', 'Invalid input for operation: segmentation_id prohibited for flat provider network.');
  return vlan;
}

/**
 * Throws Conflict when another network has this VLAN on this bridge; one that names no bridge is on every host's. Holds until the transaction ends: of two at once the second waits, and sees the first.
 */
export async function demandFreeVlan(tx: Tx, bridge: string | null, vlan: number): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`vlan ${vlan}`}, 0))`.execute(tx);
  const taken = await tx
    .selectFrom('network')
    .select('id')
    .where('vlan', '=', vlan)
    .where(sql<boolean>`(bridge is null or ${bridge}::text is null or bridge = ${bridge})`)
    .limit(1)
    .executeTakeFirst();
  if (taken !== undefined)
    throw new GodwitError(
      'Conflict',
      `Unable to create the network. The VLAN ${vlan} on physical network ${bridge ?? "(the hosts' guest bridge)"} is in use.`,
    );
}

/** Throws Conflict when the host where a server is would not keep a network apart from the others: an agent that knows no VLANs would put the port among them. */
export async function demandVlanReach(tx: Tx, serverId: string, networkId: string): Promise<void> {
  const unkept = await tx
    .selectFrom('server')
    .innerJoin('host', 'host.id', 'server.host_id')
    .innerJoin('network', (join) => join.on('network.id', '=', networkId))
    .select('host.id')
    .where('server.id', '=', serverId)
    .where('network.vlan', 'is not', null)
    .where(sql<boolean>`(host.facts -> 'vlans') is distinct from 'true'::jsonb`)
    .executeTakeFirst();
  if (unkept !== undefined)
    throw new GodwitError(
      'Conflict',
      // Not which VLAN, nor which host: that is for administrators, who find both in the records of network and server.
      `Network ${networkId} cannot be reached from the server's host: its guest bridge does not keep the network apart from others.`,
    );
}
