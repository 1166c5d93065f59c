import { randomUUID } from 'node:crypto';
import { always } from '@godwit/contract/schemas/closed';
import { CreateFlavor, FlavorAnswer, FlavorDetailAnswer, FlavorListAnswer, UpdateFlavor } from '@godwit/contract/schemas/compute/flavors';
import { FlavorsQuery, type flavorSortKeys } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import { count, invalid, one, page } from '../query.ts';
import { type FlavorRow, flavorOf, visibleFlavors } from './flavor-rows.ts';
import { nextLinks, sortOf } from './paging.ts';
import { type ComputeRequest, type ComputeRoute, route } from './route.ts';

const links = (request: ComputeRequest<never>, id: string) => [
  { rel: 'self', href: `${request.base}/flavors/${encodeURIComponent(id)}` },
  { rel: 'bookmark', href: `${request.base.replace(/\/v2(\.1)?$/, '')}/flavors/${encodeURIComponent(id)}` },
];

function view(request: ComputeRequest<never>, row: FlavorRow) {
  const { minor } = request;
  return {
    id: row.id,
    name: row.name,
    ram: row.ram_mib,
    disk: row.disk_gib,
    vcpus: row.vcpus,
    swap: row.swap_mib === 0 && minor < 75 ? '' : row.swap_mib,
    'OS-FLV-EXT-DATA:ephemeral': row.ephemeral_gib,
    'OS-FLV-DISABLED:disabled': row.disabled,
    'os-flavor-access:is_public': row.is_public,
    rxtx_factor: row.rxtx_factor,
    links: links(request, row.id),
    ...(minor >= 55 ? { description: row.description } : {}),
    ...(minor >= 61 ? { extra_specs: row.extra_specs } : {}),
  };
}

const sortColumns: Readonly<Record<(typeof flavorSortKeys)[number], string>> = {
  flavorid: 'id',
  id: 'id',
  name: 'name',
  memory_mb: 'ram_mib',
  vcpus: 'vcpus',
  // All weigh the same.
  vcpu_weight: 'id',
  root_gb: 'disk_gib',
  ephemeral_gb: 'ephemeral_gib',
  swap: 'swap_mib',
  rxtx_factor: 'rxtx_factor',
  disabled: 'disabled',
  is_public: 'is_public',
  created_at: 'created_at',
  updated_at: 'updated_at',
  description: 'description',
};

async function list(request: ComputeRequest<never>): Promise<{ rows: readonly FlavorRow[]; limit: number }> {
  const { query, caller, context } = request;
  const { limit, marker } = page(query);
  let rows = visibleFlavors(context.db, caller);
  const isPublic = one(query, 'is_public')?.toLowerCase();
  if (caller.isAdmin && isPublic !== 'none') {
    if (isPublic !== undefined && !['true', 'false', '1', '0', 't', 'f', 'yes', 'no', 'on', 'off', 'y', 'n'].includes(isPublic))
      throw invalid('is_public', isPublic, 'is not True, False or None');
    rows = rows.where('is_public', '=', isPublic === undefined || ['true', '1', 't', 'yes', 'on', 'y'].includes(isPublic));
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
    name: flavor.name,
    vcpus: Number(flavor.vcpus),
    ram_mib: Number(flavor.ram),
    disk_gib: Number(flavor.disk),
    swap_mib: number(flavor.swap, 0),
    ephemeral_gib: number(flavor['OS-FLV-EXT-DATA:ephemeral'], 0),
    rxtx_factor: number(flavor.rxtx_factor, 1),
    is_public: typeof isPublic === 'boolean' ? isPublic : /^(true|1|on|yes)$/i.test(isPublic),
    description: flavor.description ?? null,
  };
  const row = await request.context.db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtext('flavor'))`.execute(tx);
    const same = await tx
      .selectFrom('flavor')
      .select(['id', 'name'])
      .where('deleted_at', 'is', null)
      .where((eb) => eb.or([eb('id', '=', id), eb('name', '=', flavor.name)]))
      .executeTakeFirst();
    if (same?.id === id) throw new GodwitError('Conflict', `Flavor with ID ${id} already exists.`);
    if (same !== undefined) throw new GodwitError('Conflict', `Flavor with name ${flavor.name} already exists.`);
    await tx.deleteFrom('flavor_access').where('flavor_id', '=', id).execute();
    // A deleted flavor's id may be used again; servers keep what theirs was.
    const fresh = { ...values, disabled: false, extra_specs: '{}', created_at: new Date(), updated_at: null, deleted_at: null };
    return tx
      .insertInto('flavor')
      .values({ id, ...fresh })
      .onConflict((c) => c.column('id').doUpdateSet(fresh))
      .returningAll()
      .executeTakeFirstOrThrow();
  });
  return { status: 200, body: { flavor: view(request as ComputeRequest<never>, row) } };
}

export const flavorRoutes: readonly ComputeRoute[] = [
  route('GET', '/flavors', {
    query: FlavorsQuery,
    response: FlavorListAnswer,
    handle: async (request) => {
      const { rows, limit } = await list(request);
      const flavors = rows.map((row) => ({
        id: row.id,
        name: row.name,
        links: links(request, row.id),
        ...(request.minor >= 55 ? { description: row.description } : {}),
      }));
      return { status: 200, body: { flavors, ...nextLinks(request, 'flavors', rows, limit, rows.at(-1)?.id) } };
    },
  }),
  route('GET', '/flavors/detail', {
    query: FlavorsQuery,
    response: FlavorDetailAnswer,
    handle: async (request) => {
      const { rows, limit } = await list(request);
      return {
        status: 200,
        body: { flavors: rows.map((row) => view(request, row)), ...nextLinks(request, 'flavors', rows, limit, rows.at(-1)?.id) },
      };
    },
  }),
  route('GET', '/flavors/:flavor', {
    response: FlavorAnswer,
    handle: async (request) => ({ status: 200, body: { flavor: view(request, await flavorOf(request)) } }),
  }),
  route('POST', '/flavors', { body: CreateFlavor, response: FlavorAnswer, handle: create }),
  route('PUT', '/flavors/:flavor', {
    min: 55,
    body: always(UpdateFlavor),
    response: FlavorAnswer,
    handle: async (request: ComputeRequest<UpdateFlavor>) => {
      assertAllowed(request.caller, 'os-flavor-manage:update');
      const { id } = await flavorOf(request as ComputeRequest<never>);
      const row = await request.context.db
        .updateTable('flavor')
        .set({ description: request.body.flavor.description, updated_at: new Date() })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
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
];
