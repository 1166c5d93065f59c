import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId } from '@godwit/domain/ids';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import type { Db } from '../../store/database.ts';
import { lateness, usualPhases } from '../../stuck/late-migrations.ts';
import { readQueue } from '../../workflows/live-migrate/queue.ts';
import { migrationSamples } from './migration-samples.ts';
import { type MigrationRow, migrationSummary, migrationView } from './migration-view.ts';
import { requireAdmin } from './require-admin.ts';
import { readWaysOut } from './ways-out.ts';

const PAGE = 1_000;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `/migrations`: every move, newest first (`?server=`, `?host=`, `?status=`, `?limit=`), one whole record, its progress reports, and its abort. For admins. */
export function migrationRoutes(app: FastifyInstance, context: AppContext): void {
  const { db } = context;
  app.get('/migrations', async (request) => {
    await requireAdmin(db, request);
    const query = request.query as Readonly<Record<string, string | undefined>>;
    const limit = Math.min(PAGE, Math.max(1, Number(query.limit ?? PAGE) || PAGE));
    let rows = migrationRows(db).orderBy('migration.api_id', 'desc').limit(limit);
    if (query.server !== undefined)
      rows = uuid.test(query.server) ? rows.where('migration.server_id', '=', query.server) : rows.where('migration.server_id', 'is', null);
    if (query.status !== undefined) rows = rows.where('migration.status', '=', query.status as MigrationRow['status']);
    const host = query.host;
    if (host !== undefined) rows = rows.where((eb) => eb.or([eb('source.name', '=', host), eb('destination.name', '=', host)]));
    const [found, queue] = await Promise.all([rows.execute(), readQueue(db)]);
    return { migrations: found.map((row) => migrationSummary(row, queue)) };
  });
  app.get('/migrations/:id', async (request) => {
    await requireAdmin(db, request);
    const row = await migrationOf(db, (request.params as { id: string }).id);
    const [queue, waysOut, usual] = await Promise.all([readQueue(db), readWaysOut(db, row), usualPhases(db)]);
    return { migration: { ...migrationView(row, queue), waysOut, overdue: lateness(row, usual, Date.now()) } };
  });
  app.get('/migrations/:id/samples', async (request) => {
    await requireAdmin(db, request);
    return { samples: await migrationSamples(db, await migrationOf(db, (request.params as { id: string }).id)) };
  });
  app.post('/migrations/:id/abort', async (request, reply) => {
    const caller = await requireAdmin(db, request);
    const row = await migrationOf(db, (request.params as { id: string }).id);
    await context.operations.abortMigration(caller, as<MigrationId>(row.id));
    return reply.code(202).send({ migration: { id: row.id } });
  });
}

/** One move by its UUID, or by the integer of the compute API. */
export async function migrationOf(db: Db, id: string): Promise<MigrationRow> {
  const query = migrationRows(db);
  const row = uuid.test(id)
    ? await query.where('migration.id', '=', id).executeTakeFirst()
    : /^\d{1,9}$/.test(id)
      ? await query.where('migration.api_id', '=', Number(id)).executeTakeFirst()
      : undefined;
  if (row === undefined) throw new GodwitError('MigrationNotFound', `Migration ${id} could not be found.`);
  return row;
}

/** Moves with the names of their server and hosts. */
export function migrationRows(db: Db) {
  return db
    .selectFrom('migration')
    .innerJoin('server', 'server.id', 'migration.server_id')
    .leftJoin('host as source', 'source.id', 'migration.source_host_id')
    .leftJoin('host as destination', 'destination.id', 'migration.destination_host_id')
    .selectAll('migration')
    .select(['source.name as source_name', 'destination.name as destination_name', 'server.name as server_name']);
}
