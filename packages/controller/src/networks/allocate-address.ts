import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';

export type AllocatedAddress = {
  readonly subnetId: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string | null;
};

/** How often a batch of free addresses may be taken away under our hands before the subnet counts as exhausted. */
const maxRounds = 50;

/**
 * Takes the lowest free address of the subnet's pool (never the gateway's) for the port, in the caller's transaction: no address is ever given twice, and parallel
 * transactions neither wait for each other nor deadlock (an address that one of them holds uncommitted is skipped by its advisory lock).
 * Throws Conflict when the pool is exhausted.
 */
export async function allocateAddress(tx: Db, subnetId: string, portId: string): Promise<AllocatedAddress> {
  for (let round = 0; round < maxRounds; round++) {
    // Free addresses are looked for behind the allocated ones (and the pool's start), so that the size of the pool does not matter. The first that nobody holds is taken: `offset 0` keeps the
    // locks in the candidates' order, and `limit 1` ends them with the first that is ours.
    const { rows } = await sql<{ [Key in keyof AllocatedAddress]: AllocatedAddress[Key] | null } & { free: number }>`
      with own as (select * from subnet where id = ${subnetId}),
        taken as (select address from ip_allocation where subnet_id = ${subnetId} union all select gateway from own where gateway is not null),
        gaps as (
          select gap from (select pool_start as gap from own union select address + 1 from taken) behind, own
          where gap between pool_start and pool_end and gap not in (select address from taken)
          order by gap limit 16
        ),
        candidates as materialized (
          select distinct gap + step as address from gaps, generate_series(0, 15) step, own
          where gap + step <= pool_end and gap + step not in (select address from taken)
          order by address limit 64
        ),
        given as (
          insert into ip_allocation (subnet_id, address, port_id)
          select ${subnetId}::uuid, address, ${portId}::uuid from (select address from candidates order by address offset 0) candidate
          where pg_try_advisory_xact_lock(hashtextextended('ip ' || ${subnetId}::text || ' ' || host(address), 0)) limit 1
          on conflict do nothing
          returning subnet_id, address
        )
      select (select count(*)::integer from candidates) as free, given.subnet_id as "subnetId", host(given.address) as address,
        masklen(own.cidr) as "prefixLength", host(own.gateway) as gateway
      from own left join given on true`.execute(tx);
    const [row] = rows;
    if (row === undefined || row.free === 0) break;
    const { subnetId: given, address, prefixLength, gateway } = row;
    if (given !== null && address !== null && prefixLength !== null) return { subnetId: given, address, prefixLength, gateway };
  }
  throw new GodwitError('Conflict', `No more IP addresses available on subnet ${subnetId}.`);
}

/** Takes this very address, which must lie in the subnet. Throws BadRequest when it does not, Conflict when it is in use. */
export async function allocateGivenAddress(tx: Db, subnetId: string, address: string, portId: string): Promise<AllocatedAddress> {
  const {
    rows: [subnet],
  } = await sql<{ prefixLength: number; gateway: string | null; address: string; usable: boolean }>`
    select masklen(cidr) as "prefixLength", host(gateway) as gateway, host(${address}::inet) as address,
      ${address}::inet << cidr and host(${address}::inet) <> coalesce(host(gateway), '') and (family(cidr) = 6 or masklen(cidr) > 30
        or (host(${address}::inet) <> host(network(cidr)) and host(${address}::inet) <> host(broadcast(cidr)))) as usable
    from subnet where id = ${subnetId}`.execute(tx);
  if (subnet === undefined) throw new GodwitError('NotFound', `Subnet ${subnetId} could not be found.`);
  if (!subnet.usable) throw new GodwitError('BadRequest', `IP address ${address} is not a valid IP for the specified subnet.`);
  const inserted = await tx
    .insertInto('ip_allocation')
    .values({ subnet_id: subnetId, address: subnet.address, port_id: portId })
    .onConflict((conflict) => conflict.doNothing())
    .returning('port_id')
    .execute();
  if (inserted.length === 0) throw new GodwitError('Conflict', `IP address ${subnet.address} already allocated in subnet ${subnetId}.`);
  return { subnetId, address: subnet.address, prefixLength: subnet.prefixLength, gateway: subnet.gateway };
}
