import { PolicyChange } from '@godwit/contract/schemas/godwit/migration-policy';
import { policyFieldNames, policyFields } from '@godwit/domain/convergence/policy';
import { type PartialPolicy, parsePolicy, resolvePolicy } from '@godwit/domain/convergence/resolve-policy';
import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { DEFAULT_SCOPE } from '../../workflows/policy/policy-of-move.ts';
import { assertBody } from '../json-body.ts';
import { requireAdmin } from './require-admin.ts';

/**
 * `/migration-policies`: what moves may cost, for the whole cloud (`default`) and per project: list, `PUT /migration-policies/{default|project}` (replaces), `DELETE`. A request's and a
 * flavor's own fields win over these. For admins.
 */
export function migrationPolicyRoutes(app: FastifyInstance, { db }: Pick<AppContext, 'db'>): void {
  app.get('/migration-policies', async (request) => {
    await requireAdmin(db, request);
    const rows = await db.selectFrom('migration_policy').selectAll().orderBy('scope').execute();
    const stored = rows.find((row) => row.scope === DEFAULT_SCOPE)?.policy ?? {};
    return {
      policies: rows.map((row) => ({
        scope: row.scope,
        policy: row.policy,
        updatedBy: row.updated_by,
        updatedAt: row.updated_at.toISOString(),
      })),
      // What holds where nothing else is said, and what each field may be.
      effectiveDefault: resolvePolicy({ default: stored }),
      fields: policyFieldNames.map((field) => ({
        name: field,
        extraSpec: policyFields[field].extraSpec,
        default: policyFields[field].default,
        allowed: policyFields[field].allowed,
      })),
    };
  });
  app.put('/migration-policies/:scope', async (request) => {
    const caller = await requireAdmin(db, request);
    const { scope } = request.params as { readonly scope: string };
    assertBody(PolicyChange, request.body);
    const policy = readPolicy((request.body as { readonly policy: Readonly<Record<string, unknown>> }).policy);
    if (scope !== DEFAULT_SCOPE) await demandProject(scope);
    const row = { scope, policy: JSON.stringify(policy), updated_by: caller.userId, updated_at: new Date() };
    await db
      .insertInto('migration_policy')
      .values(row)
      .onConflict((on) => on.column('scope').doUpdateSet(row))
      .execute();
    return { scope, policy };
  });
  app.delete('/migration-policies/:scope', async (request, reply) => {
    await requireAdmin(db, request);
    const { scope } = request.params as { readonly scope: string };
    const gone = await db.deleteFrom('migration_policy').where('scope', '=', scope).executeTakeFirst();
    if (gone.numDeletedRows === 0n) throw new GodwitError('NotFound', `There is no migration policy of ${scope.slice(0, 255)}.`);
    return reply.code(204).send();
  });

  async function demandProject(id: string): Promise<void> {
    const project = await db.selectFrom('identity_project').select('id').where('id', '=', id).executeTakeFirst();
    if (project === undefined) throw new GodwitError('NotFound', `Project ${id.slice(0, 255)} could not be found.`);
  }
}

/** The fields of a policy out of a body. Throws the first problem: SchemaViolation, or PostCopyUnsafe. */
export function readPolicy(value: Readonly<Record<string, unknown>>): PartialPolicy {
  const { policy, problems } = parsePolicy(value);
  const [problem] = problems;
  if (problem !== undefined) throw new GodwitError(problem.code === 'NoValue' ? 'SchemaViolation' : problem.code, problem.sentence);
  return policy;
}
