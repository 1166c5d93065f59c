import type { Db } from '../store/database.ts';
import { lateMigrations } from '../stuck/late-migrations.ts';

/** What a notice says, as the record stands now. Null when the move is gone, or is not stuck or forgotten any more: then nothing has to be done. */
export async function noticeBody(
  db: Db,
  publicUrl: string,
  notice: { readonly id: string; readonly kind: string; readonly migration_id: string; readonly at: Date },
): Promise<object | null> {
  const row = await db
    .selectFrom('migration')
    .innerJoin('server', 'server.id', 'migration.server_id')
    .leftJoin('host as source', 'source.id', 'migration.source_host_id')
    .leftJoin('host as destination', 'destination.id', 'migration.destination_host_id')
    .selectAll('migration')
    .select(['server.name as server_name', 'source.name as source', 'destination.name as destination'])
    .where('migration.id', '=', notice.migration_id)
    .executeTakeFirst();
  if (row === undefined || (notice.kind !== 'migration.failed' && row.finished_at !== null)) return null;
  const sentence =
    notice.kind === 'migration.stuck'
      ? ((await lateMigrations(db)).find(({ subject }) => subject.id === row.id)?.sentence ?? null)
      : notice.kind === 'resize.forgotten'
        ? `${row.server_name} waits in Verify Resize: confirm or revert it, it holds room on two hosts.`
        : (row.outcome?.sentence ?? null);
  return {
    id: notice.id,
    event: notice.kind,
    at: notice.at.toISOString(),
    sentence,
    cause: row.outcome?.cause ?? null,
    runsOn: row.outcome?.runsOn ?? null,
    migration: {
      id: row.id,
      type: row.type,
      status: row.status,
      phase: row.phase,
      source: row.source,
      destination: row.destination,
      requestId: row.request_id,
      createdAt: row.created_at.toISOString(),
      finishedAt: row.finished_at?.toISOString() ?? null,
    },
    server: { id: row.server_id, name: row.server_name, projectId: row.project_id },
    link: `${publicUrl}/admin/migrations/${row.id}`,
  };
}
