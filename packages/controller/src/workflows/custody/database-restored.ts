import { sql } from 'kysely';
import type { Logger } from 'pino';
import { type Db, inTransaction } from '../../store/database.ts';
import type { Workflows } from '../port.ts';

const IDENTITY = 'database-identity';
/** More fences than can have been given in the commits that were lost. */
const FENCE_HEADROOM = 1_000_000;

/**
 * What a restore or a failover changes, and no restart does: the cluster, its timeline, the database and the table of servers themselves. It is kept in the database: a copy of that
 * which is put back brings the old one along. `known`: what was noted last; null: nothing yet. The timeline is the one that is written to now: the control file has it only after the next checkpoint,
 * which may be minutes after a standby's promotion.
 */
async function identityOf(db: Db): Promise<{ readonly identity: object; readonly known: object | null }> {
  const { rows } = await sql<{ system: string; timeline: number; database: number; table: number; known: object | null }>`
    select (select system_identifier::text from pg_control_system()) as system,
      ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer as timeline,
      (select oid::bigint from pg_database where datname = current_database()) as database,
      'server'::regclass::oid::bigint as "table",
      (select value from setting where key = ${IDENTITY}) as known`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('the database does not say which one it is');
  const { known, ...identity } = row;
  return { identity, known };
}

/** True when this is another database than the one that was written last: a backup was put back, or another server took over, perhaps without its last commits. */
export async function isRestored(db: Db): Promise<boolean> {
  const { identity, known } = await identityOf(db);
  return known !== null && !same(known, identity);
}

/**
 * Custody rule 8: the database may be older than the hosts. From the commit on nothing is granted for any server until every host that could hold it has reported or is fenced; each server's
 * recovery is enqueued. Fences go on far above every one that was given. Returns how many servers there are. Can be repeated.
 */
export async function beginRecovery(db: Db, workflows: Pick<Workflows, 'enqueue'>): Promise<number> {
  return inTransaction(db, async (tx) => {
    await oneAtATime(tx);
    await sql`select setval('fence_sequence', (select last_value from fence_sequence) + ${FENCE_HEADROOM}::bigint)`.execute(tx);
    const servers = await tx
      .updateTable('server')
      .set({ custody: sql`jsonb_set(custody, '{behind}', 'true')` })
      .where((eb) => eb.or([eb('deleted_at', 'is', null), sql<boolean>`custody -> 'holder' ->> 'kind' <> 'nowhere'`]))
      .returning('id')
      .execute();
    for (const { id } of servers) await workflows.enqueue(tx, { kind: 'settle-server', subjectId: id });
    await noteIdentity(tx);
    return servers.length;
  });
}

/**
 * Before anything is granted by a controller that starts, or whose connection was lost, and with every heartbeat: a database that is not the one of before begins a recovery. Returns which
 * one it is: whoever else has begun that, an executor sees by it that its own rows may be those of another time.
 */
export async function recoverIfRestored(db: Db, workflows: Pick<Workflows, 'enqueue'>, log: Logger): Promise<string> {
  const { identity, known } = await identityOf(db);
  const which = words(identity);
  // Of what was read once: between two questions the database may become another one, which must not be noted as known.
  if (known === null) {
    await db
      .insertInto('setting')
      .values({ key: IDENTITY, value: JSON.stringify(identity) })
      .onConflict((conflict) => conflict.column('key').doNothing())
      .execute();
    return which;
  }
  if (same(known, identity)) return which;
  // Of several controllers the first one begins it.
  const servers = await db.transaction().execute(async (tx) => {
    await oneAtATime(tx);
    return (await isRestored(tx)) ? await beginRecovery(tx, workflows) : null;
  });
  if (servers !== null)
    log.error(
      { servers },
      'the database was restored, or another one took over: nothing is granted for a server until every host that could hold it has reported',
    );
  return which;
}

/** So that the fences are moved once for all controllers. */
const oneAtATime = async (tx: Db): Promise<unknown> => sql`select pg_advisory_xact_lock(hashtext('godwit recovery'))`.execute(tx);

async function noteIdentity(db: Db): Promise<void> {
  const value = JSON.stringify((await identityOf(db)).identity);
  await db
    .insertInto('setting')
    .values({ key: IDENTITY, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
}

const same = (a: object, b: object): boolean => words(a) === words(b);

const words = (identity: object): string => JSON.stringify(Object.entries(identity).sort(([x], [y]) => (x < y ? -1 : 1)));
