import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { tellAfterCommit } from '../store/notices.ts';
import { later } from '../store/sparing-pool.ts';

/** The NOTIFY channel that tells every controller of new events. */
export const EVENT_CHANNEL = 'godwit_event';

export type NewEvent = {
  readonly kind: 'server' | 'migration' | 'host' | 'operation';
  readonly subjectId: string;
  /** Who may see it besides admins; null: admins only. */
  readonly projectId: string | null | { readonly ofServer: string };
  /** What members of the project see; what only admins may see goes under `admin`. */
  readonly data: Readonly<Record<string, unknown>> & { readonly admin?: Readonly<Record<string, unknown>> };
};

/** Writes an event into the caller's transaction: it is told to readers when, and only if, that commits. */
export async function recordEvent(tx: Db, event: NewEvent): Promise<void> {
  const { projectId } = event;
  const project =
    typeof projectId === 'object' && projectId !== null
      ? sql`(select project_id from server where id = ${projectId.ofServer}::uuid)`
      : sql`${projectId}::text`;
  await sql`${later}insert into event (kind, subject_id, project_id, data) values (${event.kind}, ${event.subjectId}, ${project}, ${JSON.stringify(event.data)})`.execute(
    tx,
  );
  await tellAfterCommit(tx, EVENT_CHANNEL, '');
}
