import { MigrationsAnswer } from '@godwit/contract/schemas/compute/migrations';
import { MigrationsQuery } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import { flag, one, page, time } from '../query.ts';
import { commonView, flavorNumber, isLiveInProgress, type MigrationRow, migrationRows } from './migration-rows.ts';
import { nextLinks } from './paging.ts';
import { type ComputeRequest, type ComputeRoute, route } from './route.ts';
import { isUuid } from './server-rows.ts';
import { bookmark } from './server-view.ts';

function view(request: ComputeRequest<never>, row: MigrationRow): object {
  const { minor } = request;
  const path = `servers/${row.server_id}/migrations/${row.api_id}`;
  return {
    ...commonView(row, minor),
    instance_uuid: row.server_id,
    old_instance_type_id: flavorNumber(row.old_flavor_id),
    new_instance_type_id: flavorNumber(row.new_flavor_id),
    ...(minor >= 23 ? { migration_type: row.type } : {}),
    ...(minor >= 23 && isLiveInProgress(row)
      ? {
          links: [
            { rel: 'self', href: `${request.base}/${path}` },
            { rel: 'bookmark', href: bookmark(request, path) },
          ],
        }
      : {}),
  };
}

async function list(request: ComputeRequest<never>) {
  const { query, minor, context } = request;
  assertAllowed(request.caller, 'os-migrations:index');
  const { limit, marker } = minor >= 59 ? page(query) : { limit: null, marker: null };
  const [since, before] = [time(query, 'changes-since'), time(query, 'changes-before')];
  if (since !== null && before !== null && since > before)
    throw new GodwitError('BadRequest', 'The value of changes-since must be less than or equal to changes-before.');
  let rows = migrationRows(context.db);
  const server = one(query, 'instance_uuid');
  if (server !== null) rows = isUuid(server) ? rows.where('migration.server_id', '=', server) : rows.where(sql<boolean>`false`);
  const host = one(query, 'host');
  if (host !== null) rows = rows.where((eb) => eb.or([eb('source.name', '=', host), eb('destination.name', '=', host)]));
  const source = one(query, 'source_compute');
  if (source !== null) rows = rows.where('source.name', '=', source);
  const status = one(query, 'status');
  if (status !== null) rows = rows.where(sql<boolean>`migration.status = ${status}`);
  const type = one(query, 'migration_type');
  if (type !== null) rows = rows.where(sql<boolean>`migration.type = ${type}`);
  // Nothing is hidden here.
  if (query.has('hidden') && flag(query, 'hidden')) rows = rows.where(sql<boolean>`false`);
  if (since !== null) rows = rows.where(sql<boolean>`coalesce(migration.updated_at, migration.created_at) >= ${since}`);
  if (before !== null) rows = rows.where(sql<boolean>`coalesce(migration.updated_at, migration.created_at) <= ${before}`);
  const [user, project] = [one(query, 'user_id'), one(query, 'project_id')];
  if (user !== null) rows = rows.where('migration.user_id', '=', user);
  if (project !== null) rows = rows.where('migration.project_id', '=', project);
  if (marker !== null) {
    const at = isUuid(marker)
      ? await context.db.selectFrom('migration').select(['api_id']).where('id', '=', marker).executeTakeFirst()
      : undefined;
    if (at === undefined) throw new GodwitError('BadRequest', `Marker ${marker.slice(0, 120)} could not be found.`);
    // Ids are given in the order of creation.
    rows = rows.where('migration.api_id', '<', at.api_id);
  }
  rows = rows.orderBy('migration.api_id', minor >= 59 ? 'desc' : 'asc');
  const found = limit === 0 ? [] : await (limit === null ? rows : rows.limit(limit)).execute();
  return {
    status: 200,
    body: {
      migrations: found.map((row) => view(request, row)),
      ...(limit === null ? {} : nextLinks(request, 'migrations', found, limit, found.at(-1)?.id)),
    },
  };
}

export const migrationRoutes: readonly ComputeRoute[] = [
  route('GET', '/os-migrations', { query: MigrationsQuery, response: MigrationsAnswer, handle: list }),
];
