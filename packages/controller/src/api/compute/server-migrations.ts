import { always } from '@godwit/contract/schemas/closed';
import { ServerMigrationAnswer, ServerMigrationsAnswer } from '@godwit/contract/schemas/compute/migrations';
import { MigrationAction } from '@godwit/contract/schemas/compute/server-actions';
import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId } from '@godwit/domain/ids';
import type { MigrationStatus } from '@godwit/domain/migration';
import { assertAllowed } from '../../auth/policy.ts';
import { commonView, inProgressStatuses, isLiveInProgress, type MigrationRow, migrationRows } from './migration-rows.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { assertAction, type ServerRow, serverOfPath } from './server-rows.ts';

const view = (row: MigrationRow, minor: number): object => ({
  ...commonView(row, minor),
  server_uuid: row.server_id,
  memory_total_bytes: row.memory_total_bytes,
  memory_processed_bytes: row.memory_processed_bytes,
  memory_remaining_bytes: row.memory_remaining_bytes,
  disk_total_bytes: row.disk_total_bytes,
  disk_processed_bytes: row.disk_processed_bytes,
  disk_remaining_bytes: row.disk_remaining_bytes,
});

/** The migration of the path, if it is this server's; the API knows it by its integer. */
async function migrationOf(request: ComputeRequest<never>, server: ServerRow): Promise<MigrationRow | null> {
  const id = param(request, 'migration');
  if (!/^\d{1,9}$/.test(id)) return null;
  return (
    (await migrationRows(request.context.db)
      .where('migration.api_id', '=', Number(id))
      .where('migration.server_id', '=', server.id)
      .executeTakeFirst()) ?? null
  );
}

const unknown = (request: ComputeRequest<never>, server: ServerRow): string =>
  `Migration ${param(request, 'migration').slice(0, 60)} not found for instance ${server.id}`;

async function show(request: ComputeRequest<never>) {
  assertAllowed(request.caller, 'servers:migrations:show');
  const server = await serverOfPath(request);
  const row = await migrationOf(request, server);
  if (row === null) throw new GodwitError('MigrationNotFound', unknown(request, server));
  if (row.type !== 'live-migration')
    throw new GodwitError('MigrationNotFound', `Migration ${row.api_id} for server ${server.id} is not live-migration.`);
  if (!isLiveInProgress(row))
    throw new GodwitError('MigrationNotFound', `Live migration ${row.api_id} for server ${server.id} is not in progress.`);
  return { status: 200, body: { migration: view(row, request.minor) } };
}

/** What may be aborted: from 2.65 on also what has not begun to copy. */
const abortable = (minor: number): readonly MigrationStatus[] => (minor >= 65 ? ['running', 'preparing', 'queued'] : ['running']);

async function abort(request: ComputeRequest<never>) {
  const { context, caller, minor } = request;
  const server = await serverOfPath(request);
  assertAction('abort-live-migration', server, caller);
  const row = await migrationOf(request, server);
  if (row === null) throw new GodwitError('MigrationNotFound', unknown(request, server));
  if (row.type !== 'live-migration' || !abortable(minor).includes(row.status)) {
    throw new GodwitError(
      'InvalidMigrationState',
      `Migration ${row.api_id} state of instance ${server.id} is ${row.status}. Cannot abort live migration while the migration is in this state.`,
    );
  }
  await context.operations.abortMigration(caller, as<MigrationId>(row.id));
  return { status: 202 };
}

async function act(request: ComputeRequest<{ readonly force_complete: unknown }>): Promise<Answer> {
  const plain = request as ComputeRequest<never>;
  const server = await serverOfPath(plain);
  assertAction('force-complete', server, request.caller);
  const row = await migrationOf(plain, server);
  // Here, unlike everywhere else, the reference answers an unknown migration with 400.
  if (row === null) throw new GodwitError('BadRequest', unknown(plain, server));
  if (row.type !== 'live-migration' || row.status !== 'running') {
    throw new GodwitError(
      'InvalidMigrationState',
      `Migration ${row.api_id} state of instance ${server.id} is ${row.status}. Cannot force_complete while the migration is in this state.`,
    );
  }
  await request.context.operations.forceComplete(request.caller, as<MigrationId>(row.id));
  return { status: 202 };
}

export const serverMigrationRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers/:server/migrations', {
    min: 23,
    response: ServerMigrationsAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'servers:migrations:index');
      const server = await serverOfPath(request);
      const rows = await migrationRows(request.context.db)
        .where('migration.server_id', '=', server.id)
        .where('migration.type', '=', 'live-migration')
        .where('migration.status', 'in', inProgressStatuses)
        .orderBy('migration.api_id', 'desc')
        .execute();
      return { status: 200, body: { migrations: rows.map((row) => view(row, request.minor)) } };
    },
  }),
  route('GET', '/servers/:server/migrations/:migration', { min: 23, response: ServerMigrationAnswer, handle: show }),
  route('DELETE', '/servers/:server/migrations/:migration', { min: 24, response: () => null, handle: abort }),
  route('POST', '/servers/:server/migrations/:migration/action', {
    min: 22,
    body: always(MigrationAction),
    response: () => null,
    handle: act,
  }),
];
