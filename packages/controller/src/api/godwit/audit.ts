import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance } from 'fastify';
import type { Selectable } from 'kysely';
import type { AppContext } from '../../app-context.ts';
import { auditView } from '../../audit/audit-view.ts';
import type { Db } from '../../store/database.ts';
import type { AuditEntryTable } from '../../store/operation-tables.ts';
import { requireAdmin } from './require-admin.ts';

const PAGE = 1_000;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
type AuditQuery = Readonly<Record<'server' | 'user' | 'host' | 'kind' | 'request' | 'since' | 'before' | 'limit', string | undefined>>;

/**
 * `GET /audit`: who changed what, newest first (`?server=` id, `?user=` name or id, `?host=` a move's source or destination, `?kind=request|migration`, `?request=` id, `?since=` ISO 8601, `?before=` an entry's
 * id, `?limit=`). For admins.
 */
export function auditRoutes(app: FastifyInstance, { db }: Pick<AppContext, 'db'>): void {
  app.get('/audit', async (request) => {
    await requireAdmin(db, request);
    const rows = await auditEntries(db, request.query as AuditQuery);
    return { entries: rows.map(auditView) };
  });
}

/** Throws BadRequest for a value that is none. */
async function auditEntries(db: Db, query: AuditQuery): Promise<readonly Selectable<AuditEntryTable>[]> {
  const limit = Math.min(PAGE, Math.max(1, Number(query.limit ?? 100) || 100));
  let rows = db.selectFrom('audit_entry').selectAll().orderBy('id', 'desc').limit(limit);
  const { server, user, host, kind, request, since, before } = query;
  if (server !== undefined) {
    if (!uuid.test(server)) throw new GodwitError('BadRequest', `server takes an id, not ${server.slice(0, 80)}.`);
    rows = rows.where('server_id', '=', server);
  }
  if (user !== undefined) rows = rows.where((eb) => eb.or([eb('user_id', '=', user), eb('user_name', '=', user)]));
  if (host !== undefined) rows = rows.where((eb) => eb.or([eb('source', '=', host), eb('destination', '=', host)]));
  if (kind !== undefined) {
    if (kind !== 'request' && kind !== 'migration') throw new GodwitError('BadRequest', 'kind is request or migration.');
    rows = rows.where('kind', '=', kind);
  }
  if (request !== undefined) rows = rows.where('request_id', '=', request);
  if (since !== undefined) {
    const from = new Date(since);
    if (Number.isNaN(from.getTime()))
      throw new GodwitError('BadRequest', `since takes a time such as 2026-01-31T12:00:00Z, not ${since.slice(0, 80)}.`);
    rows = rows.where('at', '>=', from);
  }
  if (before !== undefined) {
    if (!/^\d{1,15}$/.test(before)) throw new GodwitError('BadRequest', `before takes the id of an entry, not ${before.slice(0, 80)}.`);
    rows = rows.where('id', '<', Number(before));
  }
  return rows.execute();
}
