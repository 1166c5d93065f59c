import { sql } from 'kysely';
import type { ResolvedConfig } from '../../config/load-config.ts';
import type { Db } from '../../store/database.ts';

export type QueueLimits = ResolvedConfig['limits'];

/** A live migration that has not ended, as the queue sees it. `api_id` is its place in the order of acceptance. */
export type Queued = {
  readonly id: string;
  readonly api_id: number;
  readonly phase: string;
  readonly source: string | null;
  readonly destination: string | null;
};

// Names this lock among the database's advisory locks.
const QUEUE_LOCK = 0x60d511;
/** Phases in which a move uses the links of its hosts. */
const onTheLinks = ['preparing', 'copying', 'post-copy', 'switchover'];

/** Every live migration that waits or uses a link, oldest first. */
export async function readQueue(db: Db): Promise<readonly Queued[]> {
  return db
    .selectFrom('migration')
    .select(['id', 'api_id', 'phase', 'source_host_id as source', 'destination_host_id as destination'])
    .where('finished_at', 'is', null)
    .where('type', '=', 'live-migration')
    .where('phase', 'in', ['queued', 'preparing', 'copying', 'post-copy', 'switchover'])
    .orderBy('api_id')
    .execute();
}

/**
 * The waiting moves that may begin now, in order: the oldest first, and a younger one only over links that no older one that could run needs.
 */
export function whoMayBegin(queue: readonly Queued[], limits: QueueLimits): readonly string[] {
  const outgoing = new Map<string | null, number>();
  const incoming = new Map<string | null, number>();
  let total = 0;
  const take = (one: Queued): void => {
    outgoing.set(one.source, (outgoing.get(one.source) ?? 0) + 1);
    incoming.set(one.destination, (incoming.get(one.destination) ?? 0) + 1);
    total += 1;
  };
  for (const one of queue) if (onTheLinks.includes(one.phase)) take(one);
  const begin: string[] = [];
  for (const one of queue) {
    if (one.phase !== 'queued') continue;
    if (
      total >= limits.total ||
      (outgoing.get(one.source) ?? 0) >= limits.outgoingPerHost ||
      (incoming.get(one.destination) ?? 0) >= limits.incomingPerHost
    )
      continue;
    take(one);
    begin.push(one.id);
  }
  return begin;
}

/** True when it is this move's turn; the lock is held until the transaction ends, which has to take the turn (by the phase). */
export async function isTurnOf(tx: Db, migrationId: string, limits: QueueLimits): Promise<boolean> {
  await sql`select pg_advisory_xact_lock(${QUEUE_LOCK})`.execute(tx);
  return whoMayBegin(await readQueue(tx), limits).includes(migrationId);
}

/** The place of a waiting move among those that wait for one of its links, from 1; null when it does not wait. */
export function queuePosition(queue: readonly Queued[], migrationId: string): number | null {
  const own = queue.find((one) => one.id === migrationId && one.phase === 'queued');
  if (own === undefined) return null;
  return queue.filter(
    (one) => one.phase === 'queued' && one.api_id <= own.api_id && (one.source === own.source || one.destination === own.destination),
  ).length;
}
