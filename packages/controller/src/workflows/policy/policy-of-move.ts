import { flavorPolicy, type PartialPolicy, type ResolvedPolicy, resolvePolicy } from '@godwit/domain/convergence/resolve-policy';
import type { Db } from '../../store/database.ts';

/** The scope of the policy that holds for every project. */
export const DEFAULT_SCOPE = 'default';

/** What a move of this server may cost: the request, then its flavor, its project, the cloud. An extra spec whose value is none counts as not set. */
export async function policyOfMove(
  db: Db,
  server: { readonly project_id: string; readonly flavor: { readonly extra_specs: Readonly<Record<string, string>> } },
  request: PartialPolicy,
): Promise<ResolvedPolicy> {
  const rows = await db
    .selectFrom('migration_policy')
    .select(['scope', 'policy'])
    .where('scope', 'in', [server.project_id, DEFAULT_SCOPE])
    .execute();
  const stored = (scope: string): PartialPolicy => rows.find((row) => row.scope === scope)?.policy ?? {};
  return resolvePolicy({
    request,
    flavor: flavorPolicy(server.flavor.extra_specs).policy,
    project: stored(server.project_id),
    default: stored(DEFAULT_SCOPE),
  });
}
