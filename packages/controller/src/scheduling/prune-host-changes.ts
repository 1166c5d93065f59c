import { sql } from 'kysely';
import type { Logger } from 'pino';
import type { Db } from '../store/database.ts';

/** Changes older than this are pruned; a snapshot that was not asked for half as long begins anew, so that it misses none. */
export const hostChangesKeptMs = 10 * 60_000;
const everyMs = 60_000;

/** Forgets changes that every living snapshot has seen or will not ask for. */
export async function pruneHostChanges(db: Db): Promise<void> {
  await sql`delete from host_change where at < now() - ${hostChangesKeptMs} * interval '1 millisecond'`.execute(db);
}

/** Prunes once a minute until the returned function is called. Several controllers doing so at once do no harm. */
export function startPruningHostChanges(db: Db, log: Logger): () => void {
  const timer = setInterval(() => {
    pruneHostChanges(db).catch((error: unknown) => log.warn({ err: error }, 'old changes of hosts were not pruned; trying again'));
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
