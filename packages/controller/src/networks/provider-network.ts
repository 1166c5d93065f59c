import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Tx } from '../store/database.ts';

type Asked = {
  readonly 'provider:network_type'?: 'flat' | 'vlan';
  readonly 'provider:physical_network'?: string | null;
  readonly 'provider:segmentation_id'?: number | null;
};

/** Whether a request says on which wire a network is: an administrator's to say. */
export const isProvider = (asked: Asked): boolean =>
  asked['provider:physical_network'] !== undefined ||
  asked['provider:segmentation_id'] != null ||
  (asked['provider:network_type'] ?? 'flat') !== 'flat';

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
    .select(['host.name', 'network.vlan'])
    .where('server.id', '=', serverId)
    .where('network.vlan', 'is not', null)
    .where(sql<boolean>`(host.facts -> 'vlans') is distinct from 'true'::jsonb`)
    .executeTakeFirst();
  if (unkept !== undefined)
    throw new GodwitError(
      'Conflict',
      `Network ${networkId} is VLAN ${unkept.vlan}, and the guest bridge of host ${unkept.name} carries no VLANs.`,
    );
}
