import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';

/**
 * Notes from now on every row that a committed statement makes, changes or deletes, in any table. Returns a function whose number grows with each; what is rolled back leaves it as it was.
 * For tests that a refusal has changed nothing.
 */
export async function watchChanges(db: Db): Promise<() => Promise<number>> {
  await sql`create table test_change (id bigserial primary key)`.execute(db);
  await sql`create function test_note_change() returns trigger language plpgsql as 'begin insert into test_change default values; return null; end'`.execute(
    db,
  );
  const { rows } = await sql<{ name: string }>`select tablename as name from pg_tables
    where schemaname = current_schema() and tablename not in ('test_change', 'login_attempt')`.execute(db);
  for (const { name } of rows)
    await sql`create trigger test_note_change after insert or update or delete on ${sql.table(name)} for each row execute function test_note_change()`.execute(
      db,
    );
  return async () => {
    const { rows: last } = await sql<{ id: number }>`select coalesce(max(id), 0)::integer as id from test_change`.execute(db);
    return last[0]?.id ?? 0;
  };
}
