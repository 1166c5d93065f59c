import { type PostgresPool, type PostgresPoolClient, type RawBuilder, sql } from 'kysely';
import type pg from 'pg';
import type { Lane } from './precedence.ts';
import { type Statement, sendBatch, wireValues } from './statement-batch.ts';
import type { StatementNames } from './statement-names.ts';

/**
 * Before the text of a statement whose answer nobody needs: inside a transaction it travels with the next one, or with the commit, in its order, and fails that one if it fails. What comes
 * of it (rows, how many were changed) is not told.
 */
export const later: RawBuilder<unknown> = sql.raw('/* later */ ');
const LATER = '/* later */ ';

type Answer = Awaited<ReturnType<PostgresPoolClient['query']>>;

/**
 * A pool whose clients spare the way to the database what they can; the order is the same. `begin` travels with the transaction's first statement (a transaction without one never reaches the
 * database), what is marked `later` with the one after it, and statements that are used often are prepared once a connection.
 */
export function sparingPool(pool: pg.Pool, names: StatementNames, lane: Lane = open): PostgresPool {
  const known = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  return {
    options: pool.options,
    connect: async () => {
      await lane.enter();
      const client = await pool.connect().catch((error: unknown) => {
        lane.leave();
        throw error;
      });
      let spared = known.get(client);
      if (spared === undefined) known.set(client, (spared = sparingClient(client, lane, names)));
      return spared;
    },
    end: () => pool.end(),
  };
}

type Held = Pick<Statement, 'text' | 'values'>;

function sparingClient(client: pg.PoolClient, lane: Lane, names: StatementNames): PostgresPoolClient {
  let inTransaction = false;
  /** What our caller takes as done and the database has not been told yet, in order; only in a transaction. */
  let held: readonly Held[] = [];
  /** Why the transaction has come to nothing without the database being told: a statement of it could not be sent. As after one that failed there, only a rollback is left. */
  let voided: { readonly cause: unknown } | null = null;

  const prepared = (values: readonly unknown[]): readonly unknown[] => {
    try {
      return wireValues(values);
    } catch (error) {
      if (inTransaction) voided = { cause: error };
      throw error;
    }
  };

  const send = (statements: readonly Held[]): Promise<Answer> =>
    sendBatch(
      client,
      statements.map(({ text, values }) => ({ text, values, name: names.of(text) })),
    ) as unknown as Promise<Answer>;

  const query = async (text: string, given: readonly unknown[] = []): Promise<Answer> => {
    if (text === 'begin') {
      inTransaction = true;
      held = [{ text, values: given }];
      return answered('BEGIN');
    }
    if (voided !== null && text !== 'rollback')
      throw new Error('the transaction is void: a statement before this one could not be sent', voided);
    // One with a level of isolation of its own is begun at once.
    if (text.startsWith('start transaction ')) inTransaction = true;
    const values = prepared(given);
    if (inTransaction && text.startsWith(LATER)) {
      held = [...held, { text, values }];
      return answered('');
    }
    const before = held;
    held = [];
    const unknown = before[0]?.text === 'begin';
    if (text === 'rollback' || (text === 'commit' && unknown && before.length === 1)) {
      inTransaction = false;
      voided = null;
      return unknown ? answered(text.toUpperCase()) : send([{ text, values }]);
    }
    if (text === 'commit') inTransaction = false;
    try {
      return await send([...before, { text, values }]);
    } catch (error) {
      // Somebody has altered what a prepared statement reads: PostgreSQL refuses it from now on, under this name.
      if (!names.outdated(error) || inTransaction || text === 'commit') throw error;
      return await send([{ text, values }]);
    }
  };

  const release = (destroy?: boolean): void => {
    inTransaction = false;
    held = [];
    voided = null;
    client.release(destroy);
    lane.leave();
  };
  return { query, release, processID: (client as unknown as { readonly processID: number }).processID } as unknown as PostgresPoolClient;
}

/** Holds nobody up. */
const open: Lane = { enter: () => Promise.resolve(), leave: () => {} };

const answered = (command: string): Answer => ({ command, rowCount: 0, rows: [] }) as unknown as Answer;
