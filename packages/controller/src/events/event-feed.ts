import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Database } from '../store/database.ts';
import { EVENT_CHANNEL } from './record-event.ts';

/** One event as stored. `cursor` is what a client sends back as Last-Event-ID. */
export type StoredEvent = {
  readonly cursor: string;
  readonly kind: 'server' | 'migration' | 'host' | 'operation';
  readonly subjectId: string;
  readonly projectId: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly at: Date;
};

/** The events of the whole cloud, in one order, whichever controller wrote them. */
export type EventFeed = {
  /**
   * Every event after `cursor` (null: from now on), in order, without end until `signal` aborts. A cursor older than what is kept starts at the oldest kept.
   */
  readonly read: (cursor: string | null, signal: AbortSignal) => AsyncIterable<StoredEvent>;
  readonly close: () => Promise<void>;
};

type Cursor = { readonly xid: string; readonly id: number };
const BATCH = 200;
// The notification of an event can arrive while an older transaction still runs: then it becomes readable without a further notification.
const RETRY_MS = 20;
// Under load every commit tells of events: they are read together, and told that much later.
const APART_MS = 10;
// The notice of an event is lost with a controller that dies right after the commit.
const LOOK_AGAIN_MS = 2_000;
const RECONNECT_MS = 500;
const KEEP = "interval '24 hours'";
const PRUNE_EVERY_MS = 600_000;

/** Starts listening. Loses no event over a reconnect: readers go by the table, notifications only wake them. */
export async function startEventFeed(database: Database, log: Logger): Promise<EventFeed> {
  const wakers = new Set<() => void>();
  const wake = () => {
    for (const waker of [...wakers]) waker();
  };
  let closed = false;
  let client: pg.Client | null = null;
  const listen = async (): Promise<void> => {
    const next = await database.connect('events');
    client = next;
    next.on('notification', ({ processId }) => {
      if (!database.notices.isOwn(processId)) wake();
    });
    next.once('end', () => {
      if (!closed) void relisten();
    });
    await next.query(`listen ${EVENT_CHANNEL}`);
    wake();
  };
  const relisten = async (): Promise<void> => {
    while (!closed) {
      try {
        await delay(RECONNECT_MS, undefined, { ref: false });
        await listen();
        return;
      } catch (error) {
        log.warn({ err: error }, 'the event listener cannot reach the database; trying again');
      }
    }
  };
  const stopHearing = database.notices.onOwn(({ channel }) => {
    if (channel === EVENT_CHANNEL) wake();
  });
  await listen();
  const prune = setInterval(() => {
    sql`delete from event where at < now() - ${sql.raw(KEEP)}`
      .execute(database.db)
      .catch((error: unknown) => log.warn({ err: error }, 'old events were not pruned'));
  }, PRUNE_EVERY_MS);
  prune.unref();

  async function* read(from: string | null, signal: AbortSignal): AsyncGenerator<StoredEvent> {
    let cursor = from === null ? await latest(database) : parseCursor(from);
    while (!signal.aborted && !closed) {
      let woken = false;
      let resolveWait: (() => void) | null = null;
      let timer: NodeJS.Timeout | undefined;
      const waker = () => {
        woken = true;
        resolveWait?.();
      };
      wakers.add(waker);
      signal.addEventListener('abort', waker);
      try {
        const { rows, pending } = await batch(database, cursor);
        for (const row of rows) {
          cursor = { xid: row.xid, id: row.id };
          yield {
            cursor: `${row.xid}-${row.id}`,
            kind: row.kind,
            subjectId: row.subject_id,
            projectId: row.project_id,
            data: row.data,
            at: row.at,
          };
        }
        if (rows.length === BATCH || signal.aborted) continue;
        if (woken) {
          await delay(APART_MS);
          continue;
        }
        await new Promise<void>((resolve) => {
          resolveWait = resolve;
          timer = setTimeout(resolve, pending ? RETRY_MS : LOOK_AGAIN_MS);
        });
      } finally {
        clearTimeout(timer);
        wakers.delete(waker);
        signal.removeEventListener('abort', waker);
      }
    }
  }

  return {
    read,
    close: async () => {
      closed = true;
      clearInterval(prune);
      stopHearing();
      wake();
      await client?.end().catch(() => {});
    },
  };
}

/** The cursor in a Last-Event-ID; a malformed one reads from the oldest kept event. */
export function parseCursor(text: string): Cursor {
  const match = /^(\d{1,19})-(\d{1,15})$/.exec(text);
  return match === null ? { xid: '0', id: 0 } : { xid: match[1] ?? '0', id: Number(match[2]) };
}

type Row = {
  xid: string;
  id: number;
  kind: StoredEvent['kind'];
  subject_id: string;
  project_id: string | null;
  data: Record<string, unknown>;
  at: Date;
};

/** Sorted by the table's own columns: a bare `xid` would be the text that is selected, by which 1000 comes before 999, and what lies between is never read. */
async function batch(database: Database, cursor: Cursor): Promise<{ readonly rows: readonly Row[]; readonly pending: boolean }> {
  const { rows } = await sql<Row & { settled: boolean }>`
    select xid::text, id, kind, subject_id, project_id, data, at, xid < pg_snapshot_xmin(pg_current_snapshot()) as settled
    from event where (xid, id) > (${cursor.xid}::xid8, ${cursor.id}) order by event.xid, event.id limit ${BATCH}`.execute(database.db);
  const settled = rows.findIndex((row) => !row.settled);
  return settled === -1 ? { rows, pending: false } : { rows: rows.slice(0, settled), pending: true };
}

async function latest(database: Database): Promise<Cursor> {
  // Everything below the oldest running transaction is past; what that one or a later one writes is still to come.
  const { rows } = await sql<{ xid: string }>`select pg_snapshot_xmin(pg_current_snapshot())::text as xid`.execute(database.db);
  return { xid: rows[0]?.xid ?? '0', id: 0 };
}
