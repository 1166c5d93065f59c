import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { later } from '../store/sparing-pool.ts';

/** What has changed for ports on hosts: one port, or a security group's rules or members. */
export type NetworkChange = { readonly kind: 'port' | 'group'; readonly id: string };

/** Written in the transaction that changes, so that the hosts hear of it even if this controller dies right after; see push-policies.ts. */
export async function noteChange(tx: Db, changes: readonly NetworkChange[]): Promise<void> {
  const distinct = [...new Map(changes.map((change) => [`${change.kind} ${change.id}`, change])).values()];
  if (distinct.length === 0) return;
  const noted = tx.insertInto('network_policy_change').values(distinct.map(({ kind, id }) => ({ kind, subject_id: id })));
  await sql`${later}${noted}`.execute(tx);
}

/** What a subnet says by DHCP has changed, for every port with an address of it. */
export async function noteSubnet(tx: Db, subnetId: string): Promise<void> {
  await sql`insert into network_policy_change (kind, subject_id) select distinct 'port', port_id from ip_allocation where subnet_id = ${subnetId}`.execute(
    tx,
  );
}

/** A network goes up or down, for every port on it. */
export async function noteNetwork(tx: Db, networkId: string): Promise<void> {
  await sql`insert into network_policy_change (kind, subject_id) select 'port', id from port where network_id = ${networkId}`.execute(tx);
}
