import type { serverSortKeys } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import { statesOfStatus } from '@godwit/domain/server-states';
import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely';
import { allows, assertAllowed } from '../../auth/policy.ts';
import { flag, invalid, one, page, time } from '../query.ts';
import { sortOf } from './paging.ts';
import type { ComputeRequest } from './route.ts';
import { isUuid, zoneOfHost } from './server-rows.ts';

type Filter = (value: string, request: ComputeRequest<never>) => Expression<SqlBool>;

const equals =
  (column: string): Filter =>
  (value) =>
    sql<SqlBool>`${sql.ref(column)} = ${value}`;
const uuidEquals =
  (column: string): Filter =>
  (value) =>
    isUuid(value) ? sql<SqlBool>`${sql.ref(column)} = ${value}::uuid` : sql<SqlBool>`false`;
const integerEquals =
  (column: string): Filter =>
  (value) =>
    /^-?\d{1,9}$/.test(value) ? sql<SqlBool>`${sql.ref(column)} = ${Number(value)}` : sql<SqlBool>`false`;
/** The reference matches these as regular expressions. */
const matches =
  (column: string): Filter =>
  (value) =>
    sql<SqlBool>`${sql.ref(column)} ~ ${value.slice(0, 255)}`;
/** A constant of every server: matches all of them or none. */
const always =
  (is: (value: string) => boolean): Filter =>
  (value) =>
    sql<SqlBool>`${is(value)}::boolean`;
const address =
  (version: 4 | 6): Filter =>
  (value) =>
    sql<SqlBool>`exists (select from port p cross join lateral jsonb_array_elements(p.fixed_ips) f
  where p.server_id = server.id and f ->> 'address' ~ ${value.slice(0, 255)} and (position(':' in f ->> 'address') > 0) = ${version === 6}::boolean)`;
const status: Filter = (value) => {
  const states = statesOfStatus(value);
  const parts = states.map(({ vmState, taskStates }) => {
    const named = taskStates.filter((task) => task !== null);
    return sql<SqlBool>`(server.vm_state = ${vmState} and (server.task_state = any(${named}::text[]) or (server.task_state is null and ${taskStates.includes(null)}::boolean)))`;
  });
  return parts.length === 0 ? sql<SqlBool>`false` : sql<SqlBool>`(${sql.join(parts, sql` or `)})`;
};
const sameSecond =
  (column: string): Filter =>
  (value) =>
    sql<SqlBool>`date_trunc('second', ${sql.ref(column)}) = date_trunc('second', ${time(new Map([[column, [value]]]), column) ?? new Date(0)}::timestamptz)`;
const reference =
  (column: string): Filter =>
  (value) =>
    equals(column)(value.split('/').at(-1) ?? '', undefined as never);
const tagList = (value: string): readonly string[] => value.split(',');
const flagOf = (key: string, value: string): boolean => flag(new Map([[key, [value]]]), key);
const boolean =
  (column: string): Filter =>
  (value) =>
    sql<SqlBool>`${sql.ref(column)} = ${flagOf(column, value)}::boolean`;

/** What a list may be filtered by, and from which minor on anybody may; of who may not it is ignored, as in the reference. Absent: an admin alone. */
const filters: Readonly<Record<string, { readonly open?: number; readonly filter: Filter }>> = {
  name: { open: 1, filter: matches('server.name') },
  display_name: { filter: matches('server.name') },
  status: { open: 1, filter: status },
  image: { open: 1, filter: (value, request) => uuidEquals('server.image_id')(value.split('/').at(-1) ?? '', request) },
  image_ref: { filter: uuidEquals('server.image_id') },
  flavor: { open: 1, filter: reference('server.flavor_id') },
  reservation_id: { open: 1, filter: equals('server.reservation_id') },
  ip: { open: 1, filter: address(4) },
  ip6: { open: 5, filter: address(6) },
  vm_state: { open: 83, filter: equals('server.vm_state') },
  task_state: {
    open: 83,
    filter: (value, r) =>
      value === 'None' || value === '' ? sql<SqlBool>`server.task_state is null` : equals('server.task_state')(value, r),
  },
  power_state: { open: 83, filter: integerEquals('server.power_state') },
  key_name: { open: 83, filter: equals('server.key_name') },
  config_drive: { open: 83, filter: boolean('server.config_drive') },
  progress: { open: 83, filter: integerEquals('server.progress') },
  availability_zone: { open: 83, filter: (value) => sql<SqlBool>`${zoneOfHost} = ${value}` },
  created_at: { open: 83, filter: sameSecond('server.created_at') },
  launched_at: { open: 83, filter: sameSecond('server.launched_at') },
  terminated_at: { open: 83, filter: sameSecond('server.terminated_at') },
  tags: { open: 26, filter: (value) => sql<SqlBool>`server.tags @> ${tagList(value)}::text[]` },
  'tags-any': { open: 26, filter: (value) => sql<SqlBool>`server.tags && ${tagList(value)}::text[]` },
  'not-tags': { open: 26, filter: (value) => sql<SqlBool>`not (server.tags @> ${tagList(value)}::text[])` },
  'not-tags-any': { open: 26, filter: (value) => sql<SqlBool>`not (server.tags && ${tagList(value)}::text[])` },
  locked: { open: 73, filter: boolean('server.locked') },
  host: { filter: equals('host.name') },
  node: { filter: equals('host.name') },
  uuid: { filter: uuidEquals('server.id') },
  user_id: { open: 83, filter: equals('server.user_id') },
  hostname: { filter: matches('server.hostname') },
  launch_index: { filter: integerEquals('server.launch_index') },
  description: { filter: matches('server.description') },
  display_description: { filter: matches('server.description') },
  access_ip_v4: { filter: (value) => sql<SqlBool>`host(server.access_ip_v4) = ${value}` },
  access_ip_v6: { filter: (value) => sql<SqlBool>`host(server.access_ip_v6) = ${value}` },
  auto_disk_config: { filter: (value) => sql<SqlBool>`(server.disk_config = 'AUTO') = ${flagOf('auto_disk_config', value)}::boolean` },
  kernel_id: { filter: (value) => sql<SqlBool>`coalesce(server.direct_boot ->> 'kernelImageId', '') = ${value}` },
  ramdisk_id: { filter: (value) => sql<SqlBool>`coalesce(server.direct_boot ->> 'ramdiskImageId', '') = ${value}` },
  locked_by: { filter: equals('server.locked_by') },
  root_device_name: { filter: always((value) => value === '/dev/vda') },
  // Deletes are never deferred.
  soft_deleted: { filter: always((value) => !flagOf('soft_deleted', value)) },
};

/** Every key that filters, whoever may use it; for the test that each of them does. */
export const filterKeys: readonly string[] = Object.keys(filters);

/** What a list is sorted by; what every server has alike sorts nothing. */
const sortColumns: Readonly<Record<(typeof serverSortKeys)[number] | 'locked', RawBuilder<unknown>>> = {
  uuid: sql`server.id`,
  display_name: sql`server.name`,
  display_description: sql`server.description`,
  created_at: sql`server.created_at`,
  updated_at: sql`server.updated_at`,
  launched_at: sql`server.launched_at`,
  terminated_at: sql`server.terminated_at`,
  host: sql`host.name`,
  node: sql`host.name`,
  hostname: sql`server.hostname`,
  image_ref: sql`server.image_id`,
  instance_type_id: sql`server.flavor_id`,
  key_name: sql`server.key_name`,
  launch_index: sql`server.launch_index`,
  power_state: sql`server.power_state`,
  progress: sql`server.progress`,
  project_id: sql`server.project_id`,
  task_state: sql`server.task_state`,
  user_id: sql`server.user_id`,
  vm_state: sql`server.vm_state`,
  config_drive: sql`server.config_drive`,
  access_ip_v4: sql`server.access_ip_v4`,
  access_ip_v6: sql`server.access_ip_v6`,
  auto_disk_config: sql`(server.disk_config = 'AUTO')`,
  availability_zone: zoneOfHost,
  kernel_id: sql`(server.direct_boot ->> 'kernelImageId')`,
  ramdisk_id: sql`(server.direct_boot ->> 'ramdiskImageId')`,
  // No bare number: at the top of a statement PostgreSQL takes that for the place of a column.
  root_device_name: sql`null::text`,
  locked: sql`server.locked`,
  locked_by: sql`server.locked_by`,
};
/** They tell where servers are. */
const adminSortKeys: readonly string[] = ['host', 'node'];

export type ListedServers = { readonly servers: readonly { readonly id: string; readonly name: string }[]; readonly limit: number };

/** The servers that a list asks for, in its order, and how many it may hold. Non-admins see their project's only. */
export async function listServers(request: ComputeRequest<never>, rule: 'servers:index' | 'servers:detail'): Promise<ListedServers> {
  const { query, caller, minor, context } = request;
  assertAllowed(caller, rule);
  refuseStatus(request);
  const tenant = one(query, 'tenant_id');
  // An admin who names another project means it, and need not say `all_tenants` as well.
  const otherProject = caller.isAdmin && !query.has('all_tenants') && tenant !== null && tenant !== caller.projectId;
  const allTenants = otherProject || flag(query, 'all_tenants');
  if (allTenants) assertAllowed(caller, `${rule}:get_all_tenants`);
  const conditions: Expression<SqlBool>[] = [];
  const project = otherProject ? tenant : (one(query, 'project_id') ?? tenant);
  if (!allTenants) conditions.push(sql`server.project_id = ${caller.projectId}`);
  else if (project !== null) conditions.push(sql`server.project_id = ${project}`);

  const [since, before] = [time(query, 'changes-since'), time(query, 'changes-before')];
  if (since !== null && before !== null && since > before)
    throw new GodwitError('BadRequest', 'The value of changes-since must be less than or equal to changes-before.');
  if (since !== null) conditions.push(sql`server.updated_at >= ${since}`);
  if (before !== null) conditions.push(sql`server.updated_at <= ${before}`);
  // Whoever follows changes has to learn of deletions.
  const wantsDeleted = query.has('deleted') && caller.isAdmin ? flag(query, 'deleted') : null;
  if (wantsDeleted !== null) conditions.push(sql`(server.deleted_at is not null) = ${wantsDeleted}::boolean`);
  else if (since === null && before === null)
    conditions.push(one(query, 'status')?.toUpperCase() === 'DELETED' && caller.isAdmin ? sql`true` : sql`server.deleted_at is null`);

  const everyFilter = allows(caller, 'servers:allow_all_filters');
  for (const [key, values] of query) {
    const found = Object.hasOwn(filters, key) ? filters[key] : undefined;
    if (found === undefined || !(everyFilter || minor >= (found.open ?? Infinity))) continue;
    // Several values of `status` are alternatives; of anything else the last one counts.
    const wanted = key === 'status' ? values : values.slice(-1);
    if (wanted.length > 0)
      conditions.push(
        sql<SqlBool>`(${sql.join(
          wanted.map((value) => found.filter(value, request)),
          sql` or `,
        )})`,
      );
  }
  return paged(request, conditions, context.db);
}

/** Below 2.38 a status that is none matches nothing. */
function refuseStatus({ query, caller, minor }: ComputeRequest<never>): void {
  const asked = query.get('status') ?? [];
  if (minor >= 38 && asked.length > 0 && asked.every((word) => statesOfStatus(word).length === 0))
    throw new GodwitError('BadRequest', 'Invalid status value');
  if (!caller.isAdmin && asked.some((word) => word.toUpperCase() === 'DELETED'))
    throw new GodwitError('Forbidden', 'Only administrators may list deleted instances');
}

async function paged(
  request: ComputeRequest<never>,
  conditions: readonly Expression<SqlBool>[],
  db: ComputeRequest['context']['db'],
): Promise<ListedServers> {
  const { query, minor } = request;
  const { limit, marker } = page(query);
  const forAdmins = request.caller.isAdmin ? undefined : query.get('sort_key')?.find((key) => adminSortKeys.includes(key));
  if (forAdmins !== undefined) throw new GodwitError('Forbidden', `Only administrators can sort servers by ${forAdmins}`);
  const { locked, ...olderColumns } = sortColumns;
  const sorts = sortOf(request, minor >= 73 ? { ...olderColumns, locked } : olderColumns, [
    { column: sortColumns.created_at, direction: 'desc' },
  ]);
  const order = sql.join([
    ...sorts.map(({ column, direction }) => (direction === 'asc' ? sql`${column} asc nulls first` : sql`${column} desc nulls last`)),
    sorts[0]?.direction === 'asc' ? sql`server.id asc` : sql`server.id desc`,
  ]);
  const all = conditions.length === 0 ? sql<SqlBool>`true` : sql<SqlBool>`${sql.join([...conditions], sql` and `)}`;
  const asked = sql`from server left join host on host.id = server.host_id where ${all}`;
  try {
    let after = 0;
    if (marker !== null) {
      const { rows } = isUuid(marker)
        ? await sql<{
            place: number;
          }>`select place from (select server.id, row_number() over (order by ${order}) as place ${asked}) o where id = ${marker}::uuid`.execute(
            db,
          )
        : { rows: [] };
      const [found] = rows;
      if (found === undefined) throw new GodwitError('BadRequest', `marker [${marker.slice(0, 120)}] not found`);
      after = found.place;
    }
    if (limit === 0) return { servers: [], limit };
    const { rows } = await sql<
      ListedServers['servers'][number]
    >`select server.id, server.name ${asked} order by ${order} limit ${limit} offset ${after}`.execute(db);
    return { servers: rows, limit };
  } catch (error) {
    // PostgreSQL's class for a regular expression that is none.
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === '2201B')
      throw invalid('name', one(query, 'name') ?? '', 'is not a regular expression');
    throw error;
  }
}
