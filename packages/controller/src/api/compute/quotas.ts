import {
  QuotaClassAnswer,
  QuotaClassUpdateAnswer,
  QuotaSetAnswer,
  QuotaSetDetailAnswer,
  QuotaSetUpdateAnswer,
  quotaClassNames,
  quotaNames,
  UpdateQuotaClass,
  UpdateQuotaSet,
} from '@godwit/contract/schemas/compute/limits';
import { QuotaSetQuery } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import type { Quotas } from '@godwit/domain/quotas';
import { policyMessage } from '@godwit/domain/server-states';
import { assertAllowed, type PolicyRule } from '../../auth/policy.ts';
import { readClassQuotas, readDefaultQuotas, readQuotas } from '../../quotas/read-quotas.ts';
import { usageOf } from '../../quotas/usage.ts';
import { one } from '../query.ts';
import { truth } from './boolean.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';

/** A name as long as an id may be: a path may hold anything. */
function idOf(request: ComputeRequest<never>, name: string): string {
  const id = param(request, name);
  if (id.length > 255) throw new GodwitError('BadRequest', `${id.slice(0, 60)}… is too long`);
  return id;
}

/** The project of the path, and the user whose own limits are meant (`?user_id=`). */
function ownerOf(request: ComputeRequest<never>, rule: PolicyRule): { readonly projectId: string; readonly userId: string | null } {
  const { caller, query } = request;
  const projectId = idOf(request, 'project');
  assertAllowed(caller, rule);
  if (projectId !== caller.projectId && !caller.isAdmin) throw new GodwitError('Forbidden', policyMessage(`os_compute_api:${rule}`));
  const userId = one(query, 'user_id');
  return { projectId, userId: userId === '' ? null : (userId?.slice(0, 255) ?? null) };
}

const shown = (quotas: Quotas, names: readonly string[]): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, quotas[name as keyof Quotas]]));

async function show(request: ComputeRequest<never>): Promise<Answer> {
  const { projectId, userId } = ownerOf(request, 'os-quota-sets:show');
  const quotas = await readQuotas(request.context.db, projectId, userId);
  return { status: 200, body: { quota_set: { id: projectId, ...shown(quotas, quotaNames(request.minor)) } } };
}

async function defaults(request: ComputeRequest<never>): Promise<Answer> {
  assertAllowed(request.caller, 'os-quota-sets:defaults');
  const quotas = await readDefaultQuotas(request.context.db);
  return { status: 200, body: { quota_set: { id: idOf(request, 'project'), ...shown(quotas, quotaNames(request.minor)) } } };
}

async function detail(request: ComputeRequest<never>): Promise<Answer> {
  const { projectId, userId } = ownerOf(request, 'os-quota-sets:detail');
  const { db } = request.context;
  const [quotas, usage] = await Promise.all([readQuotas(db, projectId, userId), usageOf(db, projectId, userId)]);
  const used: Readonly<Record<string, number>> = usage;
  const entries = Object.entries(shown(quotas, quotaNames(request.minor)));
  return {
    status: 200,
    body: {
      quota_set: {
        id: projectId,
        ...Object.fromEntries(entries.map(([name, limit]) => [name, { limit, in_use: used[name] ?? 0, reserved: 0 }])),
      },
    },
  };
}

/** Sets what is named and leaves the rest. Below what is used only by `force`: nothing is taken from anybody, but nothing more is given. */
async function update(request: ComputeRequest<UpdateQuotaSet>): Promise<Answer> {
  const { projectId, userId } = ownerOf(request as ComputeRequest<never>, 'os-quota-sets:update');
  const { db } = request.context;
  const { force, ...wanted } = request.body.quota_set;
  const known = await db.selectFrom('identity_project').select('id').where('id', '=', projectId).executeTakeFirst();
  if (known === undefined) throw new GodwitError('BadRequest', `Project ID ${projectId} is not a valid project.`);
  const limits = Object.entries(wanted).map(([resource, value]) => ({ resource, hard_limit: Number(value) }));
  if (force === undefined || !truth(String(force))) {
    const used: Readonly<Record<string, number>> = await usageOf(db, projectId, userId);
    for (const { resource, hard_limit: limit } of limits) {
      const minimum = used[resource] ?? 0;
      if (limit >= 0 && limit < minimum)
        throw new GodwitError(
          'BadRequest',
          `Quota limit ${limit} for ${resource} must be greater than or equal to already used and reserved ${minimum}.`,
        );
    }
  }
  if (limits.length > 0)
    await db
      .insertInto('quota_limit')
      .values(limits.map((limit) => ({ ...limit, project_id: projectId, user_id: userId ?? '' })))
      .onConflict((conflict) =>
        conflict.columns(['project_id', 'user_id', 'resource']).doUpdateSet((eb) => ({ hard_limit: eb.ref('excluded.hard_limit') })),
      )
      .execute();
  const quotas = await readQuotas(db, projectId, userId);
  return { status: 200, body: { quota_set: shown(quotas, quotaNames(request.minor)) } };
}

/** Back to what holds for everybody; for one user, to what holds for the project. */
async function remove(request: ComputeRequest<never>): Promise<Answer> {
  const { projectId, userId } = ownerOf(request, 'os-quota-sets:delete');
  let rows = request.context.db.deleteFrom('quota_limit').where('project_id', '=', projectId);
  if (userId !== null) rows = rows.where('user_id', '=', userId);
  await rows.execute();
  return { status: 202 };
}

async function showClass(request: ComputeRequest<never>): Promise<Answer> {
  assertAllowed(request.caller, 'os-quota-class-sets:show');
  const id = idOf(request, 'class');
  const quotas = await readClassQuotas(request.context.db, id);
  return { status: 200, body: { quota_class_set: { id, ...shown(quotas, quotaClassNames(request.minor)) } } };
}

async function updateClass(request: ComputeRequest<UpdateQuotaClass>): Promise<Answer> {
  assertAllowed(request.caller, 'os-quota-class-sets:update');
  const id = idOf(request as ComputeRequest<never>, 'class');
  const { db } = request.context;
  const limits = Object.entries(request.body.quota_class_set).map(([resource, value]) => ({
    class: id,
    resource,
    hard_limit: Number(value),
  }));
  if (limits.length > 0)
    await db
      .insertInto('quota_class_limit')
      .values(limits)
      .onConflict((conflict) =>
        conflict.columns(['class', 'resource']).doUpdateSet((eb) => ({ hard_limit: eb.ref('excluded.hard_limit') })),
      )
      .execute();
  return { status: 200, body: { quota_class_set: shown(await readClassQuotas(db, id), quotaClassNames(request.minor)) } };
}

export const quotaRoutes: readonly ComputeRoute[] = [
  route('GET', '/os-quota-sets/:project', { query: QuotaSetQuery, response: QuotaSetAnswer, handle: show }),
  route('PUT', '/os-quota-sets/:project', { query: QuotaSetQuery, body: UpdateQuotaSet, response: QuotaSetUpdateAnswer, handle: update }),
  route('DELETE', '/os-quota-sets/:project', { query: QuotaSetQuery, response: () => null, handle: remove }),
  route('GET', '/os-quota-sets/:project/defaults', { response: QuotaSetAnswer, handle: defaults }),
  route('GET', '/os-quota-sets/:project/detail', { query: QuotaSetQuery, response: QuotaSetDetailAnswer, handle: detail }),
  route('GET', '/os-quota-class-sets/:class', { response: QuotaClassAnswer, handle: showClass }),
  route('PUT', '/os-quota-class-sets/:class', { body: UpdateQuotaClass, response: QuotaClassUpdateAnswer, handle: updateClass }),
];
