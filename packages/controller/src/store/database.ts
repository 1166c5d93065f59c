import { Kysely, type Transaction } from 'kysely';
import pg from 'pg';
import { createNotices, type Notices } from './notices.ts';
import { createPrecedence } from './precedence.ts';
import type { Tables } from './tables.ts';

/** The query builder over every table. */
export type Db = Kysely<Tables>;
/** Inside a transaction; a function that takes `Db` takes this too. */
export type Tx = Transaction<Tables>;

/** Runs `work` in the transaction that `db` is, or in one of its own. */
export const inTransaction = <T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> =>
  db.isTransaction ? work(db as Tx) : db.transaction().execute(work);

/** A PostgreSQL database: the query builder, and connections of one's own for LISTEN and session locks. */
export type Database = {
  readonly url: string;
  readonly db: Db;
  /** The same for what nobody waits for with a request open: fewer connections, so that it does not keep the API waiting. */
  readonly background: Db;
  /** Of those connections fewer still while requests have some: for the making of servers, which are asked for by the thousand. */
  readonly givingWay: Db;
  /** A connection outside the pool, connected. Its errors are reported to `onConnectionError` and end it; the caller ends it otherwise. */
  readonly connect: (applicationName: string) => Promise<pg.Client>;
  readonly pool: pg.Pool;
  readonly notices: Notices;
  /** Waits for running queries and closes every pooled connection. */
  readonly close: () => Promise<void>;
};

export type DatabaseOptions = {
  readonly url: string;
  /** Upper bound of pooled connections, default 12; half as many again for the background. */
  readonly maxConnections?: number;
  /** A transaction that its process leaves alone for this long is undone; default 10,000. */
  readonly leftAloneMs?: number;
  /** Told of connections that the server ended; the pool replaces them by itself. */
  readonly onConnectionError?: (error: Error) => void;
};

/**
 * Opens a pool (no connection is made yet). bigint arrives as number, and throws beyond 2^53; `pg` would crash the process when the server dies
 * under an idle or a checked-out client, so both have error handlers.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const onError = options.onConnectionError ?? (() => {});
  const types = { getTypeParser };
  const poolOf = (max: number, connectionTimeoutMillis: number): pg.Pool => {
    const one = new pg.Pool({
      connectionString: options.url,
      max,
      application_name: 'godwit',
      connectionTimeoutMillis,
      types,
      // A controller that froze in the middle of one would keep its rows from whoever takes over, for as long as it sleeps.
      idle_in_transaction_session_timeout: options.leftAloneMs ?? LEFT_ALONE_MS,
    });
    one.on('error', onError);
    one.on('connect', (client) => client.on('error', onError));
    return one;
  };
  const most = options.maxConnections ?? 12;
  const pool = poolOf(most, 10_000);
  const backgroundPool = poolOf(Math.ceil(most / 2), 60_000);
  const notices = createNotices(pool, onError);
  const { requests, background } = createPrecedence({ together: Math.ceil((most * 2) / 3), least: Math.ceil(most / 6) });
  return {
    url: options.url,
    db: new Kysely<Tables>({ dialect: notices.dialect(pool, requests) }),
    background: new Kysely<Tables>({ dialect: notices.dialect(backgroundPool) }),
    givingWay: new Kysely<Tables>({ dialect: notices.dialect(backgroundPool, background) }),
    notices,
    connect: async (applicationName) => {
      const client = new pg.Client({
        connectionString: options.url,
        application_name: `godwit ${applicationName}`,
        keepAlive: true,
        // It sends nothing by itself: a host that has vanished without a word would be waited for for hours.
        keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
        types,
      });
      client.on('error', onError);
      await client.connect();
      return client;
    },
    pool,
    close: async () => {
      await notices.sent();
      await Promise.all([pool.end(), backgroundPool.end()]);
    },
  };
}

/** Our transactions hold nothing but statements, so only a process that stands still is this slow; twice what an executor may be silent for. */
const LEFT_ALONE_MS = 10_000;
const KEEP_ALIVE_AFTER_MS = 10_000;
const INT8 = 20;

function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8) return safeInteger;
  return pg.types.getTypeParser(oid, format ?? 'text') as (value: string) => unknown;
}

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`a bigint from the database is beyond 2^53: ${text}`);
  return value;
}
