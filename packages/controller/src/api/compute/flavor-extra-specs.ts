import { always } from '@godwit/contract/schemas/closed';
import { CreateExtraSpecs, ExtraSpecAnswer, ExtraSpecsAnswer, UpdateExtraSpec } from '@godwit/contract/schemas/compute/flavors';
import { flavorPolicy } from '@godwit/domain/convergence/resolve-policy';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../auth/policy.ts';
import type { Db } from '../../store/database.ts';
import { type FlavorRow, flavorOf } from './flavor-rows.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';

async function writeSpecs(db: Db, id: string, specs: Readonly<Record<string, string>>): Promise<void> {
  const [problem] = flavorPolicy(specs).problems;
  if (problem !== undefined) throw new GodwitError(problem.code === 'NoValue' ? 'BadRequest' : problem.code, problem.sentence);
  await db
    .updateTable('flavor')
    .set({ extra_specs: JSON.stringify(specs), updated_at: new Date() })
    .where('id', '=', id)
    .execute();
}

const texts = (specs: Readonly<Record<string, string | number>>): Record<string, string> =>
  Object.fromEntries(Object.entries(specs).map(([key, value]) => [key, String(value)]));

function specOf(request: ComputeRequest<never>, row: FlavorRow): string {
  const key = param(request, 'key');
  const value = Object.hasOwn(row.extra_specs, key) ? row.extra_specs[key] : undefined;
  if (value === undefined) throw new GodwitError('NotFound', `Flavor ${row.id} has no extra specs with key ${key}.`);
  return value;
}

export const flavorExtraSpecRoutes: readonly ComputeRoute[] = [
  route('GET', '/flavors/:flavor/os-extra_specs', {
    response: always(ExtraSpecsAnswer),
    handle: async (request) => ({ status: 200, body: { extra_specs: (await flavorOf(request)).extra_specs } }),
  }),
  route('POST', '/flavors/:flavor/os-extra_specs', {
    body: always(CreateExtraSpecs),
    response: always(ExtraSpecsAnswer),
    handle: async (request: ComputeRequest<CreateExtraSpecs>) => {
      assertAllowed(request.caller, 'os-flavor-extra-specs:create');
      const row = await flavorOf(request as ComputeRequest<never>);
      const added = texts(request.body.extra_specs);
      await writeSpecs(request.context.db, row.id, { ...row.extra_specs, ...added });
      return { status: 200, body: { extra_specs: added } };
    },
  }),
  route('GET', '/flavors/:flavor/os-extra_specs/:key', {
    response: always(ExtraSpecAnswer),
    handle: async (request) => ({ status: 200, body: { [param(request, 'key')]: specOf(request, await flavorOf(request)) } }),
  }),
  route('PUT', '/flavors/:flavor/os-extra_specs/:key', {
    body: always(UpdateExtraSpec),
    response: always(ExtraSpecAnswer),
    handle: async (request: ComputeRequest<UpdateExtraSpec>) => {
      assertAllowed(request.caller, 'os-flavor-extra-specs:update');
      const row = await flavorOf(request as ComputeRequest<never>);
      const key = param(request, 'key');
      if (!Object.hasOwn(request.body, key)) throw new GodwitError('BadRequest', 'Request body and URI mismatch');
      const changed = texts(request.body);
      await writeSpecs(request.context.db, row.id, { ...row.extra_specs, ...changed });
      return { status: 200, body: changed };
    },
  }),
  route('DELETE', '/flavors/:flavor/os-extra_specs/:key', {
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-flavor-extra-specs:delete');
      const row = await flavorOf(request);
      specOf(request, row);
      await writeSpecs(
        request.context.db,
        row.id,
        Object.fromEntries(Object.entries(row.extra_specs).filter(([key]) => key !== param(request, 'key'))),
      );
      return { status: 200 };
    },
  }),
];
