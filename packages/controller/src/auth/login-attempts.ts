import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';

/** Attempts in one window. By user and address first, so that a stranger elsewhere does not lock the owner out; then by address, and by user from everywhere. */
export const attemptLimits = { userAtAddress: 10, address: 100, user: 200, windowSeconds: 300 } as const;

export type Attempt = {
  /** The password was right: the attempt no longer counts. */
  readonly succeeded: () => Promise<void>;
};

/**
 * Counts an attempt before the password is looked at, so that many at once do not slip through together; the counts are shared by every controller.
 * Throws `RateLimited` with the seconds to wait.
 */
export async function countAttempt(db: Db, user: string, address: string): Promise<Attempt> {
  const buckets = [
    { bucket: `user+address ${user} ${address}`, limit: attemptLimits.userAtAddress },
    { bucket: `address ${address}`, limit: attemptLimits.address },
    { bucket: `user ${user}`, limit: attemptLimits.user },
  ];
  // One statement, in one order: no deadlock between attempts.
  const { rows } = await sql<{ bucket: string; attempts: number; seconds: number }>`
    insert into login_attempt as l (bucket, attempts, window_ends_at)
    select bucket, 1, now() + make_interval(secs => ${attemptLimits.windowSeconds}) from unnest(${buckets.map((b) => b.bucket)}::text[]) with ordinality as t (bucket, place) order by place
    on conflict (bucket) do update set
      attempts = case when l.window_ends_at <= now() then 1 else l.attempts + 1 end,
      window_ends_at = case when l.window_ends_at <= now() then excluded.window_ends_at else l.window_ends_at end
    returning bucket, attempts, ceil(extract(epoch from window_ends_at - now()))::integer as seconds`.execute(db);
  const over = rows.filter((row) => row.attempts > (buckets.find((b) => b.bucket === row.bucket)?.limit ?? 0));
  if (over.length > 0) {
    const retryAfterSeconds = Math.max(1, ...over.map((row) => row.seconds));
    throw new GodwitError('RateLimited', `Too many failed attempts. Try again in ${retryAfterSeconds} seconds.`, { retryAfterSeconds });
  }
  return {
    succeeded: async () => {
      const [own, ...shared] = buckets.map((b) => b.bucket);
      // One row per statement: nothing waits for a row while it holds another.
      await db
        .deleteFrom('login_attempt')
        .where('bucket', '=', own ?? '')
        .execute();
      for (const bucket of shared)
        await db.updateTable('login_attempt').set({ attempts: sql`greatest(attempts - 1, 0)` }).where('bucket', '=', bucket).execute();
      await sql`delete from login_attempt where bucket in (select bucket from login_attempt where window_ends_at < now() limit 100 for update skip locked)`.execute(
        db,
      );
    },
  };
}
