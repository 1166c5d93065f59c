import { setTimeout as delay } from 'node:timers/promises';
import { type CompiledQuery, type Driver, PostgresDialect, PostgresDriver, type PostgresPool, sql } from 'kysely';
import type pg from 'pg';
import type { Db } from './database.ts';
import type { Lane } from './precedence.ts';
import { sparingPool } from './sparing-pool.ts';
import { createStatementNames, type StatementNames } from './statement-names.ts';

type Connection = Awaited<ReturnType<PostgresDriver['acquireConnection']>>;

/**
 * Tells every controller something when, and only if, the caller's transaction commits; outside a transaction at once. The payload is a hint to look, never the news itself:
 * it comes once however often it was told, and one that is lost with its controller is made up for by whoever looks again in time.
 */
export async function tellAfterCommit(tx: Db, channel: string, payload: string): Promise<void> {
  await sql`select pg_notify(${channel}, ${payload})`.execute(tx);
}

/** Under load every commit has something to tell the other controllers: it is gathered for so long, as each NOTIFY is a transaction of its own and wakes every listener. Here it is heard at once. */
const APART_MS = 20;

/** What `tellAfterCommit` compiles to; the driver below keeps it back. */
const NOTIFY = 'select pg_notify($1, $2)';

export type Notice = { readonly channel: string; readonly payload: string };

/** The notices of one process's connections. */
export type Notices = {
  /** Told of each notice of this process right after its commit, without a way through the database. */
  readonly onOwn: (listener: (notice: Notice) => void) => () => void;
  /** Whether a notification that PostgreSQL delivers was sent by this process, and so was told already. */
  readonly isOwn: (processId: number | undefined) => boolean;
  /** Resolves when what was told until now has been sent. */
  readonly sent: () => Promise<void>;
  /** For the connections of a pool, whose notices are kept back until their commit. */
  readonly dialect: (pool: pg.Pool, lane?: Lane) => PostgresDialect;
};

/**
 * Dialects whose transactions send no NOTIFY themselves: a committing transaction with one holds a lock of the whole server until its commit is on disk, so that no two of
 * them commit together. Here they are sent after the commit, all that have gathered in one statement.
 */
export function createNotices(pool: pg.Pool, onError: (error: Error) => void): Notices {
  const listeners = new Set<(notice: Notice) => void>();
  const pids = new Set<number>();
  const know = (one: pg.Pool): void => {
    one.on('connect', (client) => pids.add(pidOf(client)));
    one.on('remove', (client) => pids.delete(pidOf(client)));
  };
  know(pool);
  /** A connection's prepared statements are the same for all who use its pool. */
  const names = new Map<pg.Pool, StatementNames>();
  let waiting = new Map<string, Notice>();
  let sending: Promise<void> | null = null;

  const send = async (): Promise<void> => {
    while (waiting.size > 0) {
      const notices = [...waiting.values()];
      waiting = new Map();
      await pool
        .query('select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as told (channel, payload)', [
          notices.map(({ channel }) => channel),
          notices.map(({ payload }) => payload),
        ])
        .catch(onError);
      await delay(APART_MS);
    }
  };
  const tell = (notices: readonly Notice[]): void => {
    if (notices.length === 0) return;
    for (const notice of notices) {
      waiting.set(`${notice.channel} ${notice.payload}`, notice);
      for (const listener of [...listeners]) listener(notice);
    }
    sending ??= send().finally(() => {
      sending = null;
    });
  };
  return {
    onOwn: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    isOwn: (processId) => processId !== undefined && pids.has(processId),
    sent: async () => {
      while (sending !== null) await sending;
    },
    dialect: (one, lane) => {
      let known = names.get(one);
      if (known === undefined) {
        if (one !== pool) know(one);
        names.set(one, (known = createStatementNames()));
      }
      return new NoticingDialect(sparingPool(one, known, lane), tell);
    },
  };
}

const pidOf = (client: pg.PoolClient): number => (client as unknown as { readonly processID: number }).processID;

class NoticingDialect extends PostgresDialect {
  readonly #pool: PostgresPool;
  readonly #tell: (notices: readonly Notice[]) => void;

  constructor(pool: PostgresPool, tell: (notices: readonly Notice[]) => void) {
    super({ pool });
    this.#pool = pool;
    this.#tell = tell;
  }

  override createDriver(): Driver {
    return new NoticingDriver(this.#pool, this.#tell);
  }
}

/** Keeps the notices of a connection's open transaction back until its commit. */
class NoticingDriver extends PostgresDriver {
  readonly #tell: (notices: readonly Notice[]) => void;
  readonly #known = new WeakSet<Connection>();
  readonly #open = new WeakMap<Connection, Notice[]>();

  constructor(pool: PostgresPool, tell: (notices: readonly Notice[]) => void) {
    super({ pool });
    this.#tell = tell;
  }

  override async acquireConnection(...options: Parameters<PostgresDriver['acquireConnection']>): Promise<Connection> {
    const connection = await super.acquireConnection(...options);
    if (this.#known.has(connection)) return connection;
    this.#known.add(connection);
    const execute = connection.executeQuery.bind(connection);
    connection.executeQuery = async <Row>(query: CompiledQuery) => {
      if (query.sql !== NOTIFY) return execute<Row>(query);
      const notice = { channel: String(query.parameters[0]), payload: String(query.parameters[1]) };
      const open = this.#open.get(connection);
      if (open === undefined) this.#tell([notice]);
      else open.push(notice);
      return { rows: [] };
    };
    return connection;
  }

  override async beginTransaction(...call: Parameters<PostgresDriver['beginTransaction']>): Promise<void> {
    await super.beginTransaction(...call);
    this.#open.set(call[0], []);
  }

  override async commitTransaction(connection: Connection): Promise<void> {
    const notices = this.#open.get(connection) ?? [];
    this.#open.delete(connection);
    await super.commitTransaction(connection);
    this.#tell(notices);
  }

  override async rollbackTransaction(connection: Parameters<PostgresDriver['rollbackTransaction']>[0]): Promise<void> {
    this.#open.delete(connection);
    await super.rollbackTransaction(connection);
  }
}
