import { defaultQuotas, isQuotaName, type Quotas } from '@godwit/domain/quotas';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';

/** The class whose limits hold for every project that has none of its own. */
const everybodysClass = 'default';

/** The limits of a class, where it has none those that are built in. */
export async function readClassQuotas(db: Db, quotaClass: string): Promise<Quotas> {
  const rows = await db.selectFrom('quota_class_limit').select(['resource', 'hard_limit']).where('class', '=', quotaClass).execute();
  return over(defaultQuotas, rows);
}

/** What holds for every project. */
export const readDefaultQuotas = (db: Db): Promise<Quotas> => readClassQuotas(db, everybodysClass);

/** What holds for a project, or for one of its users (who has the project's limits where none are their own). */
export async function readQuotas(db: Db, projectId: string, userId: string | null): Promise<Quotas> {
  const { ofProject, ofUser } = await readBothQuotas(db, projectId, userId ?? '');
  return userId === null ? ofProject : ofUser;
}

/** The limits of a project, and of one of its users. One query. */
export async function readBothQuotas(
  db: Db,
  projectId: string,
  userId: string,
): Promise<{ readonly ofProject: Quotas; readonly ofUser: Quotas }> {
  const { rows } = await sql<{ resource: string; hard_limit: number; whose: number }>`
    select resource, hard_limit, 0 as whose from quota_class_limit where class = ${everybodysClass}
    union all select resource, hard_limit, case when user_id = '' then 1 else 2 end from quota_limit
      where project_id = ${projectId} and user_id in ('', ${userId})`.execute(db);
  const level = (whose: number) => rows.filter((row) => row.whose === whose);
  const ofProject = over(over(defaultQuotas, level(0)), level(1));
  return { ofProject, ofUser: over(ofProject, level(2)) };
}

function over(base: Quotas, rows: readonly { readonly resource: string; readonly hard_limit: number }[]): Quotas {
  const result: Record<string, number> = { ...base };
  for (const { resource, hard_limit } of rows) if (isQuotaName(resource)) result[resource] = hard_limit;
  return result as Quotas;
}
