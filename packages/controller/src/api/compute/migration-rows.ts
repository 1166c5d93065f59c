import type { MigrationStatus } from '@godwit/domain/migration';
import type { Selectable, SelectQueryBuilder } from 'kysely';
import type { MigrationTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Tables } from '../../store/tables.ts';
import { microTime } from '../time-format.ts';

/** A migration with the names of its hosts. */
export type MigrationRow = Selectable<MigrationTable> & {
  readonly source_name: string | null;
  readonly destination_name: string | null;
  readonly destination_address: string | null;
};

export function migrationRows(
  db: Db,
): SelectQueryBuilder<
  Tables & { source: Tables['host']; destination: Tables['host'] },
  'migration' | 'source' | 'destination',
  MigrationRow
> {
  return db
    .selectFrom('migration')
    .leftJoin('host as source', 'source.id', 'migration.source_host_id')
    .leftJoin('host as destination', 'destination.id', 'migration.destination_host_id')
    .selectAll('migration')
    .select(['source.name as source_name', 'destination.name as destination_name', 'destination.address as destination_address']) as never;
}

/** Statuses in which the API takes a live migration for one in progress. */
export const inProgressStatuses: readonly MigrationStatus[] = ['queued', 'preparing', 'running', 'post-migrating'];
export const isLiveInProgress = (row: Pick<MigrationRow, 'type' | 'status'>): boolean =>
  row.type === 'live-migration' && inProgressStatuses.includes(row.status);

/** What both views of a migration show: where from, where to, when, who. `dest_host` is the destination's address, which a live migration does not have in this API. */
export function commonView(row: MigrationRow, minor: number): object {
  return {
    id: row.api_id,
    status: row.status,
    source_compute: row.source_name,
    source_node: row.source_name,
    dest_compute: row.destination_name,
    dest_node: row.destination_name,
    dest_host: row.type === 'live-migration' ? null : row.destination_address,
    created_at: microTime(row.created_at),
    updated_at: row.updated_at === null ? null : microTime(row.updated_at),
    ...(minor >= 59 ? { uuid: row.id } : {}),
    ...(minor >= 80 ? { user_id: row.user_id, project_id: row.project_id } : {}),
  };
}

/** Flavors have integer ids in this part of the API and nowhere else: theirs if it is a number, else one that always follows from the id. */
export function flavorNumber(id: string | null): number | null {
  if (id === null) return null;
  if (/^\d{1,9}$/.test(id)) return Number(id);
  let hash = 7;
  for (const character of id) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 2_147_483_647;
  return hash;
}
