import { sql } from 'kysely';
import type { ResolvedConfig } from '../../config/load-config.ts';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import type { Workflows } from '../port.ts';

export type QueueLimits = ResolvedConfig['limits'];

/** A live migration that has not ended, as the queue sees it. `api_id` is its place in the order of acceptance. */
export type Queued = {
  readonly id: string;
  readonly api_id: number;
  readonly phase: string;
  /** In `preparing`: the destination is ready, and only the links are waited for. */
  readonly prepared: boolean;
  readonly source: string | null;
  readonly destination: string | null;
};

// Names this lock among the database's advisory locks.
const QUEUE_LOCK = 0x60d511;
/** Phases in which a move uses the links of its hosts. */
const onTheLinks: readonly string[] = ['copying', 'post-copy', 'switchover'];

const waitsToBegin = ({ phase }: Queued): boolean => phase === 'queued';
const waitsToCopy = ({ phase, prepared }: Queued): boolean => phase === 'preparing' && prepared;
const copies = ({ phase }: Queued): boolean => onTheLinks.includes(phase);

/** Every live migration that waits or uses a link, oldest first. */
export async function readQueue(db: Db): Promise<readonly Queued[]> {
  return db
    .selectFrom('migration')
    .select(['id', 'api_id', 'phase', 'source_host_id as source', 'destination_host_id as destination'])
    .select((eb) => eb('incoming_ready', 'is not', null).$castTo<boolean>().as('prepared'))
    .where('finished_at', 'is', null)
    .where('type', '=', 'live-migration')
    .where('phase', 'in', ['queued', 'preparing', 'copying', 'post-copy', 'switchover'])
    .orderBy('api_id')
    .execute();
}

/**
 * The waiting moves that may begin to prepare now, in order: the oldest first, and a younger one only over links that no older one that could run needs. On each link `preparedAhead` moves
 * are prepared while others copy, so that the link is never idle for a destination that is not ready.
 */
export function whoMayBegin(queue: readonly Queued[], limits: QueueLimits): readonly string[] {
  const ahead = limits.preparedAhead;
  return grant(queue, (one) => copies(one) || one.phase === 'preparing', waitsToBegin, {
    ...limits,
    outgoingPerHost: limits.outgoingPerHost + ahead,
    incomingPerHost: limits.incomingPerHost + ahead,
  });
}

/** The prepared moves that may copy now: never more at once on any link, into any host, or in all, than the limits say. */
export const whoMayCopy = (queue: readonly Queued[], limits: QueueLimits): readonly string[] => grant(queue, copies, waitsToCopy, limits);

function grant(
  queue: readonly Queued[],
  holds: (one: Queued) => boolean,
  waits: (one: Queued) => boolean,
  limits: Pick<QueueLimits, 'outgoingPerHost' | 'incomingPerHost' | 'total'>,
): readonly string[] {
  const outgoing = new Map<string | null, number>();
  const incoming = new Map<string | null, number>();
  let total = 0;
  const take = (one: Queued): void => {
    outgoing.set(one.source, (outgoing.get(one.source) ?? 0) + 1);
    incoming.set(one.destination, (incoming.get(one.destination) ?? 0) + 1);
    total += 1;
  };
  for (const one of queue) if (holds(one)) take(one);
  const granted: string[] = [];
  for (const one of queue) {
    if (!waits(one)) continue;
    if (
      total >= limits.total ||
      (outgoing.get(one.source) ?? 0) >= limits.outgoingPerHost ||
      (incoming.get(one.destination) ?? 0) >= limits.incomingPerHost
    )
      continue;
    take(one);
    granted.push(one.id);
  }
  return granted;
}

/** True when it is this move's turn to prepare; the lock is held until the transaction ends, which has to take the turn (by the phase). Its row need not say yet that it waits, nor for which host. */
export async function isTurnOf(
  tx: Db,
  { id, api_id, source_host_id, destination_host_id }: QueuedRow,
  limits: QueueLimits,
): Promise<boolean> {
  const own: Queued = { id, api_id, phase: 'queued', prepared: false, source: source_host_id, destination: destination_host_id };
  const others = (await lockedQueue(tx)).filter((one) => one.id !== id);
  return whoMayBegin(
    [...others, own].toSorted((a, b) => a.api_id - b.api_id),
    limits,
  ).includes(id);
}

type QueuedRow = {
  readonly id: string;
  readonly api_id: number;
  readonly source_host_id: string | null;
  readonly destination_host_id: string | null;
};

/** True when this prepared move may copy now; as above. Its row need not say yet that it is prepared. */
export async function mayCopy(tx: Db, migrationId: string, limits: QueueLimits): Promise<boolean> {
  const queue = (await lockedQueue(tx)).map((one) => (one.id === migrationId ? { ...one, prepared: true } : one));
  return whoMayCopy(queue, limits).includes(migrationId);
}

async function lockedQueue(tx: Db): Promise<readonly Queued[]> {
  await sql`${later}select pg_advisory_xact_lock(${QUEUE_LOCK})`.execute(tx);
  return readQueue(tx);
}

/** Those that wait for a link look again: called by whoever leaves one. With the move that has ended, also the fleet operation that began it. */
export async function wakeWaiting(tx: Db, workflows: Pick<Workflows, 'wake'>, ended: string | null = null): Promise<void> {
  const links = tx
    .selectFrom('migration')
    .select('id')
    .where('finished_at', 'is', null)
    .where('type', '=', 'live-migration')
    .where((eb) => eb.or([eb('phase', '=', 'queued'), eb.and([eb('phase', '=', 'preparing'), eb('incoming_ready', 'is not', null)])]));
  const waiting =
    ended === null
      ? await links.execute()
      : await links.unionAll((eb) => eb.selectFrom('fleet_item').select('operation_id as id').where('migration_id', '=', ended)).execute();
  for (const { id } of waiting) await workflows.wake(tx, id);
}

/** The place of a waiting move among those that wait for one of its links, from 1; null when it does not wait. A prepared one waits before all that are not. */
export function queuePosition(queue: readonly Queued[], migrationId: string): number | null {
  const own = queue.find((one) => one.id === migrationId && (waitsToBegin(one) || waitsToCopy(one)));
  if (own === undefined) return null;
  const before = (one: Queued): boolean => (one.prepared === own.prepared ? one.api_id <= own.api_id : one.prepared);
  return queue.filter(
    (one) => (waitsToBegin(one) || waitsToCopy(one)) && before(one) && (one.source === own.source || one.destination === own.destination),
  ).length;
}
