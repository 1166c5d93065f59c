import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type pg from 'pg';
import { createStatementNames, type StatementNames } from './statement-names.ts';

type Answer = Awaited<ReturnType<PostgresPoolClient['query']>>;

/**
 * A pool whose clients spare the way to the database what they can; answers and order are the same. `begin` travels with the transaction's first statement (a transaction without one never
 * reaches the database), and statements that are used often are prepared once a connection. Needs clients with `pipeline`.
 */
export function sparingPool(pool: pg.Pool, names: StatementNames = createStatementNames()): PostgresPool {
  const known = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  return {
    options: pool.options,
    connect: async () => {
      const client = await pool.connect();
      let spared = known.get(client);
      if (spared === undefined) known.set(client, (spared = sparingClient(client, names)));
      return spared;
    },
    end: () => pool.end(),
  };
}

function sparingClient(client: pg.PoolClient, names: StatementNames): PostgresPoolClient {
  const { stream } = (client as unknown as { readonly connection: { readonly stream: { cork?: () => void; uncork?: () => void } } })
    .connection;
  /** `held`: begun for our caller, and the database does not know yet. */
  let transaction: 'none' | 'held' | 'open' = 'none';

  const send = (text: string, values: readonly unknown[]): Promise<pg.QueryResult> => {
    const name = names.of(text);
    return client.query({ text, values: [...values], ...(name === null ? {} : { name }) });
  };

  const query = async (text: string, values: readonly unknown[] = []): Promise<Answer> => {
    switch (text) {
      case 'begin':
        transaction = 'held';
        return answered('BEGIN');
      case 'commit':
      case 'rollback': {
        const before = transaction;
        transaction = 'none';
        return before === 'held' ? answered(text === 'commit' ? 'COMMIT' : 'ROLLBACK') : ((await client.query(text)) as unknown as Answer);
      }
      default:
    }
    const before = transaction;
    let begun: Promise<unknown> = Promise.resolve();
    let sent: Promise<pg.QueryResult>;
    stream.cork?.();
    try {
      if (before === 'held') {
        transaction = 'open';
        begun = client.query('begin');
      }
      sent = send(text, values);
    } finally {
      stream.uncork?.();
    }
    const [start, end] = await Promise.allSettled([begun, sent]);
    if (start.status === 'rejected') throw start.reason;
    if (end.status === 'fulfilled') return end.value as unknown as Answer;
    // Somebody has altered what a prepared statement reads: PostgreSQL refuses it from now on, under this name.
    if (!names.outdated(end.reason) || transaction !== 'none') throw end.reason;
    return (await send(text, values)) as unknown as Answer;
  };

  const release = (destroy?: boolean): void => {
    transaction = 'none';
    client.release(destroy);
  };
  return { query, release, processID: (client as unknown as { readonly processID: number }).processID } as unknown as PostgresPoolClient;
}

const answered = (command: string): Answer => ({ command, rowCount: 0, rows: [] }) as unknown as Answer;
