import type { QuotaName, ServerCharge } from '@godwit/domain/quotas';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';

/** Each is counted when it is asked for, never kept beside. `key_pairs` are a user's, of whatever project. */
export type Usage = Readonly<Record<Extract<QuotaName, 'instances' | 'cores' | 'ram' | 'key_pairs' | 'server_groups'>, number>>;

/** What a project has now, or (`userId`) one user in it. */
export async function usageOf(db: Db, projectId: string, userId: string | null): Promise<Usage> {
  const [servers, { rows }] = await Promise.all([
    serverUsage(db, projectId, userId),
    sql<{ key_pairs: number; server_groups: number }>`select
      (select count(*)::integer from server_group where project_id = ${projectId} and deleted_at is null and (${userId}::text is null or user_id = ${userId})) as server_groups,
      (select count(*)::integer from keypair where user_id = ${userId}) as key_pairs`.execute(db),
  ]);
  const [others] = rows;
  if (others === undefined) throw new Error('a select without a table has a row');
  return { ...servers, ...others };
}

/** What its servers count for. */
export async function serverUsage(db: Db, projectId: string, userId: string | null): Promise<ServerCharge> {
  const { rows } =
    await sql<ServerCharge>`select count(*)::integer as instances, coalesce(sum(coalesce(flavor ->> 'scaled_vcpus', flavor ->> 'vcpus')::integer), 0)::integer as cores,
      coalesce(sum(coalesce(flavor ->> 'scaled_ram_mib', flavor ->> 'ram_mib')::integer), 0)::bigint as ram
    from server where project_id = ${projectId} and deleted_at is null and (${userId}::text is null or user_id = ${userId})`.execute(db);
  const [usage] = rows;
  if (usage === undefined) throw new Error('an aggregate without a row');
  return usage;
}
