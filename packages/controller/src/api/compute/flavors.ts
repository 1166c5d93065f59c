import { randomUUID } from 'node:crypto';
import { always } from '@godwit/contract/schemas/closed';
import {
  CreateExtraSpecs, CreateFlavor, ExtraSpecAnswer, ExtraSpecsAnswer, FlavorAccessAnswer, FlavorAction, FlavorAnswer, FlavorDetailAnswer, FlavorListAnswer, UpdateExtraSpec, UpdateFlavor,
} from '@godwit/contract/schemas/compute/flavors';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import type { FlavorTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import { count, invalid, one, page } from '../query.ts';
import { nextLinks, sortOf } from './paging.ts';
import { type ComputeRequest, param, route } from './route.ts';

type FlavorRow = Selectable<FlavorTable>;

const links = (request: ComputeRequest<never>, id: string) => [
  { rel: 'self', href: `${request.base}/flavors/${encodeURIComponent(id)}` },
  { rel: 'bookmark', href: `${request.base.replace(/\/v2(\.1)?$/, '')}/flavors/${encodeURIComponent(id)}` },
];

function view(request: ComputeRequest<never>, row: FlavorRow) {
  const { minor } = request;
  return {
    id: row.id, name: row.name, ram: row.ram_mib, disk: row.disk_gib, vcpus: row.vcpus, swap: row.swap_mib === 0 && minor < 75 ? '' : row.swap_mib,
    'OS-FLV-EXT-DATA:ephemeral': row.ephemeral_gib, 'OS-FLV-DISABLED:disabled': row.disabled, 'os-flavor-access:is_public': row.is_public, rxtx_factor: row.rxtx_factor,
    links: links(request, row.id),
    ...(minor >= 55 ? { description: row.description } : {}),
    ...(minor >= 61 ? { extra_specs: row.extra_specs } : {}),
  };
}

/** The flavors this caller may use: the public ones and those given to their project; an admin all. */
function visible(db: Db, caller: Caller) {
  const query = db.selectFrom('flavor').selectAll('flavor').where('deleted_at', 'is', null);
  if (caller.isAdmin) return query;
  return query.where((eb) => eb.or([
    eb('is_public', '=', true),
    eb.exists(eb.selectFrom('flavor_access').select('flavor_access.flavor_id').whereRef('flavor_access.flavor_id', '=', 'flavor.id').where('flavor_access.project_id', '=', caller.projectId)),
  ]));
}

/** Null when it does not exist or is not this caller's to use. */
async function findFlavor(db: Db, caller: Caller, id: string): Promise<FlavorRow | null> {
  return (await visible(db, caller).where('id', '=', id).executeTakeFirst()) ?? null;
}

async function flavorOf(request: ComputeRequest<never>): Promise<FlavorRow> {
  const id = param(request, 'flavor');
  const row = await findFlavor(request.context.db, request.caller, id);
  if (row === null) throw new GodwitError('NotFound', `Flavor ${id} could not be found.`);
  return row;
}

const sortColumns = {
  flavorid: 'id', id: 'id', name: 'name', memory_mb: 'ram_mib', ram: 'ram_mib', vcpus: 'vcpus', root_gb: 'disk_gib', disk: 'disk_gib', ephemeral_gb: 'ephemeral_gib', swap: 'swap_mib',
  rxtx_factor: 'rxtx_factor', disabled: 'disabled', is_public: 'is_public', created_at: 'created_at', updated_at: 'updated_at', description: 'description',
} as const;

async function list(request: ComputeRequest<never>): Promise<{ rows: readonly FlavorRow[]; limit: number }> {
  const { query, caller, context } = request;
  const { limit, marker } = page(query);
  let rows = visible(context.db, caller);
  const isPublic = one(query, 'is_public')?.toLowerCase();
  if (caller.isAdmin && isPublic !== 'none') {
    if (isPublic !== undefined && !['true', 'false', '1', '0', 't', 'f', 'yes', 'no', ''].includes(isPublic)) throw invalid('is_public', isPublic, 'is not True, False or None');
    rows = rows.where('is_public', '=', isPublic === undefined || ['true', '1', 't', 'yes', ''].includes(isPublic));
  }
  const minRam = count(query, 'minRam');
  const minDisk = count(query, 'minDisk');
  if (minRam !== null) rows = rows.where('ram_mib', '>=', minRam);
  if (minDisk !== null) rows = rows.where('disk_gib', '>=', minDisk);
  const sorts = sortOf(request, sortColumns, [{ column: 'id', direction: 'asc' }]);
  // Without a sort_dir the reference sorts flavors upwards.
  for (const { column, direction } of sorts) rows = rows.orderBy(sql.ref(column), request.query.has('sort_dir') ? direction : 'asc');
  const all = await rows.orderBy('id').execute();
  if (marker === null) return { rows: all.slice(0, limit), limit };
  const at = all.findIndex((row) => row.id === marker);
  if (at < 0) throw new GodwitError('BadRequest', `marker [${marker.slice(0, 120)}] not found`);
  return { rows: all.slice(at + 1, at + 1 + limit), limit };
}

async function create(request: ComputeRequest<CreateFlavor>) {
  assertAllowed(request.caller, 'os-flavor-manage:create');
  const { flavor } = request.body;
  const number = (value: number | string | undefined, fallback: number): number => (value === undefined ? fallback : Number(value));
  const id = flavor.id === undefined || flavor.id === null || flavor.id === 'auto' ? randomUUID() : String(flavor.id);
  const isPublic = flavor['os-flavor-access:is_public'] ?? true;
  const values = {
    name: flavor.name, vcpus: Number(flavor.vcpus), ram_mib: Number(flavor.ram), disk_gib: Number(flavor.disk), swap_mib: number(flavor.swap, 0),
    ephemeral_gib: number(flavor['OS-FLV-EXT-DATA:ephemeral'], 0), rxtx_factor: number(flavor.rxtx_factor, 1),
    is_public: typeof isPublic === 'boolean' ? isPublic : /^(true|1|on|yes)$/i.test(isPublic), description: flavor.description ?? null,
  };
  const row = await request.context.db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtext('flavor'))`.execute(tx);
    const same = await tx.selectFrom('flavor').select(['id', 'name']).where('deleted_at', 'is', null).where((eb) => eb.or([eb('id', '=', id), eb('name', '=', flavor.name)])).executeTakeFirst();
    if (same?.id === id) throw new GodwitError('Conflict', `Flavor with ID ${id} already exists.`);
    if (same !== undefined) throw new GodwitError('Conflict', `Flavor with name ${flavor.name} already exists.`);
    await tx.deleteFrom('flavor_access').where('flavor_id', '=', id).execute();
    // A deleted flavor's id may be used again; servers keep what theirs was.
    const fresh = { ...values, disabled: false, extra_specs: '{}', created_at: new Date(), updated_at: null, deleted_at: null };
    return tx.insertInto('flavor').values({ id, ...fresh }).onConflict((c) => c.column('id').doUpdateSet(fresh)).returningAll().executeTakeFirstOrThrow();
  });
  return { status: 200, body: { flavor: view(request as ComputeRequest<never>, row) } };
}

async function access(request: ComputeRequest<never>, row: FlavorRow) {
  const rows = await request.context.db.selectFrom('flavor_access').select(['flavor_id', 'project_id']).where('flavor_id', '=', row.id).orderBy('project_id').execute();
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
    const added = await context.db.insertInto('flavor_access').values({ flavor_id: row.id, project_id: project }).onConflict((c) => c.doNothing()).executeTakeFirst();
    if (added.numInsertedOrUpdatedRows === 0n) throw new GodwitError('Conflict', `Flavor access already exists for flavor ${row.id} and project ${project} combination.`);
  } else {
    const removed = await context.db.deleteFrom('flavor_access').where('flavor_id', '=', row.id).where('project_id', '=', project).executeTakeFirst();
    if (removed.numDeletedRows === 0n) throw new GodwitError('NotFound', `Flavor access not found for ${row.id} / ${project} combination.`);
  }
  return access(request as ComputeRequest<never>, row);
}

async function writeSpecs(db: Db, id: string, specs: Readonly<Record<string, string>>): Promise<void> {
  await db.updateTable('flavor').set({ extra_specs: JSON.stringify(specs), updated_at: new Date() }).where('id', '=', id).execute();
}

const texts = (specs: Readonly<Record<string, string | number>>): Record<string, string> => Object.fromEntries(Object.entries(specs).map(([key, value]) => [key, String(value)]));

function specOf(request: ComputeRequest<never>, row: FlavorRow): string {
  const key = param(request, 'key');
  const value = Object.hasOwn(row.extra_specs, key) ? row.extra_specs[key] : undefined;
  if (value === undefined) throw new GodwitError('NotFound', `Flavor ${row.id} has no extra specs with key ${key}.`);
  return value;
}

export const flavorRoutes = [
  route('GET', '/flavors', {
    response: FlavorListAnswer,
    handle: async (request) => {
      const { rows, limit } = await list(request);
      const flavors = rows.map((row) => ({ id: row.id, name: row.name, links: links(request, row.id), ...(request.minor >= 55 ? { description: row.description } : {}) }));
      return { status: 200, body: { flavors, ...nextLinks(request, 'flavors', rows, limit, rows.at(-1)?.id) } };
    },
  }),
  route('GET', '/flavors/detail', {
    response: FlavorDetailAnswer,
    handle: async (request) => {
      const { rows, limit } = await list(request);
      return { status: 200, body: { flavors: rows.map((row) => view(request, row)), ...nextLinks(request, 'flavors', rows, limit, rows.at(-1)?.id) } };
    },
  }),
  route('GET', '/flavors/:flavor', { response: FlavorAnswer, handle: async (request) => ({ status: 200, body: { flavor: view(request, await flavorOf(request)) } }) }),
  route('POST', '/flavors', { body: CreateFlavor, response: FlavorAnswer, handle: create }),
  route('PUT', '/flavors/:flavor', {
    min: 55, body: always(UpdateFlavor), response: FlavorAnswer,
    handle: async (request: ComputeRequest<UpdateFlavor>) => {
      assertAllowed(request.caller, 'os-flavor-manage:update');
      const { id } = await flavorOf(request as ComputeRequest<never>);
      const row = await request.context.db.updateTable('flavor').set({ description: request.body.flavor.description, updated_at: new Date() }).where('id', '=', id).returningAll().executeTakeFirstOrThrow();
      return { status: 200, body: { flavor: view(request as ComputeRequest<never>, row) } };
    },
  }),
  route('DELETE', '/flavors/:flavor', {
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-flavor-manage:delete');
      const { id } = await flavorOf(request);
      await request.context.db.updateTable('flavor').set({ deleted_at: new Date() }).where('id', '=', id).execute();
      return { status: 202 };
    },
  }),
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
  route('GET', '/flavors/:flavor/os-extra_specs', { response: always(ExtraSpecsAnswer), handle: async (request) => ({ status: 200, body: { extra_specs: (await flavorOf(request)).extra_specs } }) }),
  route('POST', '/flavors/:flavor/os-extra_specs', {
    body: always(CreateExtraSpecs), response: always(ExtraSpecsAnswer),
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
    body: always(UpdateExtraSpec), response: always(ExtraSpecAnswer),
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
      await writeSpecs(request.context.db, row.id, Object.fromEntries(Object.entries(row.extra_specs).filter(([key]) => key !== param(request, 'key'))));
      return { status: 200 };
    },
  }),
];
