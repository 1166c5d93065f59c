import type { Selectable } from 'kysely';
import type { AuditEntryTable } from '../store/operation-tables.ts';

/** One entry as the API tells it. Times are ISO 8601 UTC. */
export function auditView(row: Selectable<AuditEntryTable>) {
  return {
    id: row.id,
    at: row.at.toISOString(),
    kind: row.kind,
    action: row.action,
    requestId: row.request_id,
    user: row.user_id === null ? null : { id: row.user_id, name: row.user_name },
    projectId: row.project_id,
    address: row.address,
    status: row.status,
    server: row.server_id === null ? null : { id: row.server_id, name: row.server_name },
    migrationId: row.migration_id,
    source: row.source,
    destination: row.destination,
    cause: row.cause,
    details: row.details,
  };
}
