import { sql } from 'kysely';
import type { Db } from '../store/database.ts';

/** The NOTIFY channel that tells every controller of new events. */
export const EVENT_CHANNEL = 'godwit_event';

export type NewEvent = {
  readonly kind: 'server' | 'migration' | 'host' | 'operation';
  readonly subjectId: string;
  /** Who may see it besides admins; null: admins only. */
  readonly projectId: string | null;
  /** What members of the project see; what only admins may see goes under `admin`. */
  readonly data: Readonly<Record<string, unknown>> & { readonly admin?: Readonly<Record<string, unknown>> };
};

/** Writes an event into the caller's transaction: it is told to readers when, and only if, that commits. */
export async function recordEvent(tx: Db, event: NewEvent): Promise<void> {
  await sql`
    with written as (
      insert into event (kind, subject_id, project_id, data) values (${event.kind}, ${event.subjectId}, ${event.projectId}, ${JSON.stringify(event.data)}) returning id, xid
    )
    select pg_notify(${EVENT_CHANNEL}, xid::text || '-' || id::text) from written`.execute(tx);
}
