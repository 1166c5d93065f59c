import { sql } from 'kysely';
import type { Db } from '../store/database.ts';

/**
 * Takes or renews a duty that one controller at a time has. True while it is ours, for `leaseMs` of the database's clock. A controller that is frozen or dead loses it by itself;
 * one that wakes finds out at its next renewal, so what is done under a duty must be harmless when two do it.
 */
export async function holdDuty(db: Db, name: string, executorId: string, leaseMs: number): Promise<boolean> {
  const { rows } = await sql<{ executor_id: string }>`
    insert into duty (name, executor_id, expires_at) values (${name}, ${executorId}, now() + ${leaseMs} * interval '1 millisecond')
    on conflict (name) do update set executor_id = excluded.executor_id, expires_at = excluded.expires_at
      where duty.executor_id = excluded.executor_id or duty.expires_at < now()
    returning executor_id`.execute(db);
  return rows[0]?.executor_id === executorId;
}

/** Gives a duty back, so that another controller need not wait for the lease to end. */
export async function leaveDuty(db: Db, name: string, executorId: string): Promise<void> {
  await db.deleteFrom('duty').where('name', '=', name).where('executor_id', '=', executorId).execute();
}
