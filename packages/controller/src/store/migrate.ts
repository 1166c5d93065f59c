import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';

/** One forward-only step of the schema: a file `NNNN-name.sql`. */
export type SchemaStep = { readonly number: number; readonly name: string; readonly sql: string; readonly sha256: string };

/** Where the steps lie. */
export const MIGRATIONS_DIRECTORY = new URL('./migrations/', import.meta.url);

// Any constant will do: it names this lock among the database's advisory locks.
const SCHEMA_LOCK = 0x60d517;

/** The steps in `directory`, by number. Throws when a name is not `NNNN-name.sql` or a number is used twice. */
export async function readSchemaSteps(directory: URL = MIGRATIONS_DIRECTORY): Promise<readonly SchemaStep[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql')).sort();
  const steps: SchemaStep[] = [];
  for (const file of files) {
    const match = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file);
    if (match === null) throw new Error(`the schema file ${file} is not named NNNN-name.sql`);
    const sql = await readFile(new URL(file, directory), 'utf8');
    const step = { number: Number(match[1]), name: `${match[1]}-${match[2]}`, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    if (steps.at(-1)?.number === step.number) throw new Error(`two schema files have the number ${match[1]}`);
    steps.push(step);
  }
  return steps;
}

/**
 * Brings the database at `url` to the newest schema and returns the names of the steps it ran. Safe to call from several controllers at once: they take
 * turns under an advisory lock. Each step commits with its record. Throws, changing nothing further, when a step that ran before has since been edited, or when
 * the database knows a step that this program does not (it is older than the database).
 */
export async function migrate(url: string, directory: URL = MIGRATIONS_DIRECTORY): Promise<readonly string[]> {
  const steps = await readSchemaSteps(directory);
  const client = new pg.Client({ connectionString: url, application_name: 'godwit schema' });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [SCHEMA_LOCK]);
    await client.query(
      'create table if not exists schema_step (number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now())',
    );
    const { rows } = await client.query<{ number: number; name: string; sha256: string }>(
      'select number, name, sha256 from schema_step order by number',
    );
    const applied = new Map(rows.map((row) => [row.number, row]));
    const known = new Set(steps.map((step) => step.number));
    const foreign = rows.find((row) => !known.has(row.number));
    if (foreign !== undefined)
      throw new Error(
        `the database has the schema step ${foreign.name}, which this version of Godwit does not know: it is older than the database`,
      );
    const ran: string[] = [];
    for (const step of steps) {
      const before = applied.get(step.number);
      if (before !== undefined) {
        if (before.sha256 !== step.sha256)
          throw new Error(`the schema step ${step.name} was changed after it had been applied; add a new step instead`);
        continue;
      }
      await client.query('begin');
      try {
        await client.query(step.sql);
        await client.query('insert into schema_step (number, name, sha256) values ($1, $2, $3)', [step.number, step.name, step.sha256]);
        await client.query('commit');
      } catch (error) {
        await client.query('rollback');
        throw new Error(`the schema step ${step.name} failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
      ran.push(step.name);
    }
    return ran;
  } finally {
    await client.end();
  }
}
