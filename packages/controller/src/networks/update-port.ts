import { sql } from 'kysely';
import type { Tx } from '../store/database.ts';
import { type AddressPair, assertSecurity, withMac } from './address-pairs.ts';
import { allocateFixedIps, type NewPort } from './create-port.ts';
import { noteMember, setPortGroups } from './security-groups.ts';

export type PortChange = {
  readonly name?: string;
  readonly description?: string;
  readonly adminStateUp?: boolean;
  /** In place of those it has; an address that it has already it keeps. */
  readonly fixedIps?: NewPort['fixedIps'];
  readonly securityGroupIds?: readonly string[];
  readonly portSecurity?: boolean;
  readonly allowedAddressPairs?: readonly AddressPair[];
};

/**
 * Changes a port in the caller's transaction, all or nothing; the hosts hear of it after the commit. A guest that runs learns new addresses by DHCP, at its next renewal.
 * Throws as createPort does.
 */
export async function updatePort(tx: Tx, portId: string, change: PortChange): Promise<void> {
  const port = await tx.selectFrom('port').selectAll().where('id', '=', portId).forUpdate().executeTakeFirstOrThrow();
  const groups = await tx.selectFrom('port_security_group').select('security_group_id').where('port_id', '=', portId).execute();
  const portSecurity = change.portSecurity ?? port.port_security_enabled;
  const pairs = change.allowedAddressPairs ?? port.allowed_address_pairs;
  assertSecurity(portSecurity, change.securityGroupIds ?? groups.map((row) => row.security_group_id), pairs);
  await noteMember(tx, [portId]);
  let fixedIps = port.fixed_ips;
  if (change.fixedIps !== undefined) {
    await tx.deleteFrom('ip_allocation').where('port_id', '=', portId).execute();
    // A subnet without an address means "one of it": the port's own, if it has one there.
    const asked = change.fixedIps.map(({ subnetId, address }) => ({
      ...(subnetId === undefined ? {} : { subnetId }),
      ...(address === undefined && subnetId !== undefined
        ? port.fixed_ips.filter((own) => own.subnetId === subnetId).map((own) => ({ address: own.address }))[0]
        : address === undefined
          ? {}
          : { address }),
    }));
    fixedIps = [...(await allocateFixedIps(tx, portId, port.network_id, asked))];
  }
  await tx
    .updateTable('port')
    .set({
      ...(change.name === undefined ? {} : { name: change.name }),
      ...(change.description === undefined ? {} : { description: change.description }),
      ...(change.adminStateUp === undefined ? {} : { admin_state_up: change.adminStateUp }),
      fixed_ips: JSON.stringify(fixedIps),
      port_security_enabled: portSecurity,
      allowed_address_pairs: JSON.stringify(withMac(pairs, port.mac)),
      updated_at: sql`now()`,
    })
    .where('id', '=', portId)
    .execute();
  if (change.securityGroupIds !== undefined) await setPortGroups(tx, portId, change.securityGroupIds);
}
