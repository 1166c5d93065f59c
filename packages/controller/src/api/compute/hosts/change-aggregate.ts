import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import type { AggregateTable } from '../../../store/core-tables.ts';
import type { Tx } from '../../../store/database.ts';

export const zoneKey = 'availability_zone';

/**
 * The changes of an aggregate that touch zones. All take the lock of the aggregate's row, then those of the hosts concerned, so that a host is never in two zones.
 * Throw NotFound (no such aggregate or host), Conflict, BadRequest, as the compute API answers them.
 */
export async function addHost(tx: Tx, aggregateId: number, name: string): Promise<void> {
  const aggregate = await locked(tx, aggregateId);
  const host = await hostNamed(tx, name);
  const zone = aggregate.metadata[zoneKey];
  if (zone !== undefined) {
    const others = await zonesOf(tx, [host.id], aggregateId);
    if (others.some((other) => other !== zone)) {
      throw new GodwitError(
        'Conflict',
        `Cannot add host to aggregate ${aggregateId}. Reason: One or more hosts already in availability zone(s) ${others.join(', ')}.`,
      );
    }
  }
  const added = await tx
    .insertInto('aggregate_host')
    .values({ aggregate_id: aggregateId, host_id: host.id })
    .onConflict((conflict) => conflict.doNothing())
    .returning('host_id')
    .executeTakeFirst();
  if (added === undefined) throw new GodwitError('Conflict', `Aggregate ${aggregateId} already has host ${name}.`);
  await touch(tx, aggregateId);
}

export async function removeHost(tx: Tx, aggregateId: number, name: string): Promise<void> {
  await locked(tx, aggregateId);
  const host = await hostNamed(tx, name);
  const removed = await tx
    .deleteFrom('aggregate_host')
    .where('aggregate_id', '=', aggregateId)
    .where('host_id', '=', host.id)
    .returning('host_id')
    .executeTakeFirst();
  if (removed === undefined) throw new GodwitError('NotFound', `Aggregate ${aggregateId} has no host ${name}.`);
  await touch(tx, aggregateId);
}

/** Null takes a key away. A change of the zone is refused while servers live on the hosts, or when a host would be in two zones. */
export async function setMetadata(tx: Tx, aggregateId: number, changes: Readonly<Record<string, string | null>>): Promise<void> {
  const aggregate = await locked(tx, aggregateId);
  const before = aggregate.metadata[zoneKey] ?? null;
  const after = changes[zoneKey] === undefined ? before : changes[zoneKey];
  if (after === '')
    throw new GodwitError(
      'BadRequest',
      `Cannot update metadata of aggregate ${aggregateId}. Reason: Aggregate ${aggregateId} does not support empty named availability zone.`,
    );
  if (after?.includes(':') === true)
    throw new GodwitError('BadRequest', "Invalid input for field/attribute availability_zone: a zone's name holds no colon");
  if (after !== before) {
    const members = await tx
      .selectFrom('aggregate_host')
      .innerJoin('host', 'host.id', 'aggregate_host.host_id')
      .select('host.id')
      .where('aggregate_id', '=', aggregateId)
      .orderBy('host.id')
      .forUpdate('host')
      .execute();
    const ids = members.map((member) => member.id);
    const others = after === null ? [] : (await zonesOf(tx, ids, aggregateId)).filter((other) => other !== after);
    if (others.length > 0)
      throw new GodwitError(
        'BadRequest',
        `Cannot update aggregate ${aggregateId}. Reason: One or more hosts already in availability zone(s) ${others.join(', ')}.`,
      );
    const inhabited =
      ids.length === 0
        ? undefined
        : await tx.selectFrom('allocation').select('host_id').where('host_id', 'in', ids).limit(1).executeTakeFirst();
    if (inhabited !== undefined)
      throw new GodwitError(
        'BadRequest',
        `Cannot update aggregate ${aggregateId}. Reason: One or more hosts contain instances in this zone.`,
      );
  }
  const metadata = Object.fromEntries(Object.entries({ ...aggregate.metadata, ...changes }).filter(([, value]) => value !== null));
  await tx
    .updateTable('aggregate')
    .set({ metadata: JSON.stringify(metadata), updated_at: new Date() })
    .where('id', '=', aggregateId)
    .execute();
}

async function locked(tx: Tx, id: number): Promise<Selectable<AggregateTable>> {
  const row = await tx
    .selectFrom('aggregate')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Aggregate ${id} could not be found.`);
  return row;
}

async function hostNamed(tx: Tx, name: string): Promise<{ readonly id: string }> {
  const host = await tx
    .selectFrom('host')
    .select('id')
    .where('name', '=', name)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  if (host === undefined) throw new GodwitError('NotFound', `Compute host ${name} could not be found.`);
  return host;
}

/** Zones that these hosts are in by other aggregates. */
async function zonesOf(tx: Tx, hostIds: readonly string[], exceptAggregate: number): Promise<readonly string[]> {
  if (hostIds.length === 0) return [];
  const rows = await tx
    .selectFrom('aggregate_host')
    .innerJoin('aggregate', 'aggregate.id', 'aggregate_host.aggregate_id')
    .select(sql<string>`metadata ->> 'availability_zone'`.as('zone'))
    .distinct()
    .where('host_id', 'in', [...hostIds])
    .where('aggregate.id', '<>', exceptAggregate)
    .where('aggregate.deleted_at', 'is', null)
    .where(sql<boolean>`metadata ? 'availability_zone'`)
    .execute();
  return rows.map((row) => row.zone).toSorted();
}

const touch = (tx: Tx, id: number) => tx.updateTable('aggregate').set({ updated_at: new Date() }).where('id', '=', id).execute();
