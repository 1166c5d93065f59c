import { always } from '@godwit/contract/schemas/closed';
import { FlavorAccessAnswer, FlavorAction } from '@godwit/contract/schemas/compute/flavors';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../auth/policy.ts';
import { type FlavorRow, flavorOf } from './flavor-rows.ts';
import { type ComputeRequest, type ComputeRoute, route } from './route.ts';

/** Which projects may use a flavor that is not public. */
async function access(request: ComputeRequest<never>, row: FlavorRow) {
  const rows = await request.context.db
    .selectFrom('flavor_access')
    .select(['flavor_id', 'project_id'])
    .where('flavor_id', '=', row.id)
    .orderBy('project_id')
    .execute();
  return { status: 200, body: { flavor_access: rows.map((entry) => ({ flavor_id: entry.flavor_id, tenant_id: entry.project_id })) } };
}

async function act(request: ComputeRequest<FlavorAction>) {
  const { body, context } = request;
  const adding = 'addTenantAccess' in body;
  assertAllowed(request.caller, adding ? 'os-flavor-access:add_tenant_access' : 'os-flavor-access:remove_tenant_access');
  const row = await flavorOf(request as ComputeRequest<never>);
  const project = adding ? body.addTenantAccess.tenant : body.removeTenantAccess.tenant;
  if (adding) {
    if (row.is_public) throw new GodwitError('Conflict', 'Can not add access to a public flavor.');
    if ((await context.db.selectFrom('identity_project').select('id').where('id', '=', project).executeTakeFirst()) === undefined) {
      throw new GodwitError('BadRequest', `Project ID ${project} is not a valid project.`);
    }
    const added = await context.db
      .insertInto('flavor_access')
      .values({ flavor_id: row.id, project_id: project })
      .onConflict((c) => c.doNothing())
      .executeTakeFirst();
    if (added.numInsertedOrUpdatedRows === 0n)
      throw new GodwitError('Conflict', `Flavor access already exists for flavor ${row.id} and project ${project} combination.`);
  } else {
    const removed = await context.db
      .deleteFrom('flavor_access')
      .where('flavor_id', '=', row.id)
      .where('project_id', '=', project)
      .executeTakeFirst();
    if (removed.numDeletedRows === 0n) throw new GodwitError('NotFound', `Flavor access not found for ${row.id} / ${project} combination.`);
  }
  return access(request as ComputeRequest<never>, row);
}

export const flavorAccessRoutes: readonly ComputeRoute[] = [
  route('GET', '/flavors/:flavor/os-flavor-access', {
    response: always(FlavorAccessAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-flavor-access');
      const row = await flavorOf(request);
      if (row.is_public) throw new GodwitError('NotFound', 'Access list not available for public flavors.');
      return access(request, row);
    },
  }),
  route('POST', '/flavors/:flavor/action', { body: always(FlavorAction), response: always(FlavorAccessAnswer), handle: act }),
];
