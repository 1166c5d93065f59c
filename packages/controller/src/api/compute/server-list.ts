import { GodwitError } from '@godwit/domain/errors';
import { statesOfStatus } from '@godwit/domain/server-states';
import { type Expression, type SqlBool, sql } from 'kysely';
import { allows, assertAllowed } from '../../auth/policy.ts';
import { assertKnown, flag, invalid, one, page, time } from '../query.ts';
import { sortOf } from './paging.ts';
import type { ComputeRequest } from './route.ts';
import { isUuid, type ServerRow, serverRows, zoneOfHost } from './server-rows.ts';

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

/** What anybody may filter by, and from which minor. */
const filters: Readonly<Record<string, { readonly min?: number; readonly filter: Filter }>> = {
  name: { filter: matches('server.name') },
  display_name: { filter: matches('server.name') },
  status: { filter: status },
  image: { filter: (value, request) => uuidEquals('server.image_id')(value.split('/').at(-1) ?? '', request) },
  image_ref: { filter: uuidEquals('server.image_id') },
  flavor: { filter: reference('server.flavor_id') },
  reservation_id: { filter: equals('server.reservation_id') },
  ip: { filter: address(4) },
  ip6: { filter: address(6) },
  vm_state: { filter: equals('server.vm_state') },
  task_state: {
    filter: (value, r) =>
      value === 'None' || value === '' ? sql<SqlBool>`server.task_state is null` : equals('server.task_state')(value, r),
  },
  power_state: { filter: integerEquals('server.power_state') },
  key_name: { filter: equals('server.key_name') },
  config_drive: { filter: boolean('server.config_drive') },
  progress: { filter: integerEquals('server.progress') },
  availability_zone: { filter: (value) => sql<SqlBool>`${zoneOfHost} = ${value}` },
  created_at: { filter: sameSecond('server.created_at') },
  launched_at: { filter: sameSecond('server.launched_at') },
  terminated_at: { filter: sameSecond('server.terminated_at') },
  tags: { min: 26, filter: (value) => sql<SqlBool>`server.tags @> ${tagList(value)}::text[]` },
  'tags-any': { min: 26, filter: (value) => sql<SqlBool>`server.tags && ${tagList(value)}::text[]` },
  'not-tags': { min: 26, filter: (value) => sql<SqlBool>`not (server.tags @> ${tagList(value)}::text[])` },
  'not-tags-any': { min: 26, filter: (value) => sql<SqlBool>`not (server.tags && ${tagList(value)}::text[])` },
  locked: { min: 73, filter: boolean('server.locked') },
};

/** What only an admin may filter by; of anybody else it is ignored, as in the reference. */
const adminFilters: Readonly<Record<string, { readonly min?: number; readonly filter: Filter }>> = {
  host: { filter: equals('host.name') },
  node: { filter: equals('host.name') },
  hypervisor_hostname: { filter: equals('host.name') },
  uuid: { filter: uuidEquals('server.id') },
  user_id: { filter: equals('server.user_id') },
  hostname: { filter: matches('server.hostname') },
  instance_type_id: { filter: equals('server.flavor_id') },
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

const otherKeys = [
  'all_tenants',
  'limit',
  'marker',
  'sort_key',
  'sort_dir',
  'changes-since',
  'changes-before',
  'deleted',
  'project_id',
  'tenant_id',
  'cell_name',
  'ec2_instance_id',
];
const knownKeys: ReadonlySet<string> = new Set([...Object.keys(filters), ...Object.keys(adminFilters), ...otherKeys]);

/** Every key that filters, whoever may use it; for the test that each of them does. */
export const filterKeys: readonly string[] = [...Object.keys(filters), ...Object.keys(adminFilters)];

/** What a list may be sorted by; from 2.73 on by `locked` too. */
export const sortColumns: Readonly<Record<string, string>> = {
  uuid: 'server.id',
  display_name: 'server.name',
  display_description: 'server.description',
  created_at: 'server.created_at',
  updated_at: 'server.updated_at',
  launched_at: 'server.launched_at',
  terminated_at: 'server.terminated_at',
  host: 'host.name',
  node: 'host.name',
  hostname: 'server.hostname',
  image_ref: 'server.image_id',
  instance_type_id: 'server.flavor_id',
  key_name: 'server.key_name',
  launch_index: 'server.launch_index',
  power_state: 'server.power_state',
  progress: 'server.progress',
  project_id: 'server.project_id',
  task_state: 'server.task_state',
  user_id: 'server.user_id',
  vm_state: 'server.vm_state',
  config_drive: 'server.config_drive',
  access_ip_v4: 'server.access_ip_v4',
  access_ip_v6: 'server.access_ip_v6',
  locked_by: 'server.locked_by',
};

/** The servers that a list asks for, in its order, and how many it may hold. Non-admins see their project's only. */
export async function listServers(
  request: ComputeRequest<never>,
  rule: 'servers:index' | 'servers:detail',
): Promise<{ readonly rows: readonly ServerRow[]; readonly limit: number }> {
  const { query, caller, minor, context } = request;
  assertAllowed(caller, rule);
  if (minor >= 75) assertKnown(query, knownKeys);
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

  const since = time(query, 'changes-since');
  const before = minor >= 66 ? time(query, 'changes-before') : null;
  if (since !== null && before !== null && since > before)
    throw new GodwitError('BadRequest', 'The value of changes-since must be less than or equal to changes-before.');
  if (since !== null) conditions.push(sql`server.updated_at >= ${since}`);
  if (before !== null) conditions.push(sql`server.updated_at <= ${before}`);
  // Whoever follows changes has to learn of deletions.
  const wantsDeleted = query.has('deleted') && caller.isAdmin ? flag(query, 'deleted') : null;
  if (wantsDeleted !== null) conditions.push(sql`(server.deleted_at is not null) = ${wantsDeleted}::boolean`);
  else if (since === null && before === null)
    conditions.push(one(query, 'status')?.toUpperCase() === 'DELETED' && caller.isAdmin ? sql`true` : sql`server.deleted_at is null`);

  for (const [key, values] of query) {
    const found = ownEntry(filters, key) ?? (allows(caller, 'servers:allow_all_filters') ? ownEntry(adminFilters, key) : undefined);
    if (found === undefined || minor < (found.min ?? 1)) continue;
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

const ownEntry = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

async function paged(
  request: ComputeRequest<never>,
  conditions: readonly Expression<SqlBool>[],
  db: ComputeRequest['context']['db'],
): Promise<{ readonly rows: readonly ServerRow[]; readonly limit: number }> {
  const { query, minor } = request;
  const { limit, marker } = page(query);
  const sorts = sortOf(request, minor >= 73 ? { ...sortColumns, locked: 'server.locked' } : sortColumns, [
    { column: 'server.created_at', direction: 'desc' },
  ]);
  const order = sql.join([
    ...sorts.map(({ column, direction }) =>
      direction === 'asc' ? sql`${sql.ref(column)} asc nulls first` : sql`${sql.ref(column)} desc nulls last`,
    ),
    sorts[0]?.direction === 'asc' ? sql`server.id asc` : sql`server.id desc`,
  ]);
  const all = conditions.length === 0 ? sql<SqlBool>`true` : sql<SqlBool>`${sql.join([...conditions], sql` and `)}`;
  const ordered = sql<{
    id: string;
    place: number;
  }>`select server.id, row_number() over (order by ${order}) as place from server left join host on host.id = server.host_id where ${all}`;
  try {
    let after = 0;
    if (marker !== null) {
      const { rows } = isUuid(marker)
        ? await sql<{ place: number }>`select place from (${ordered}) o where id = ${marker}::uuid`.execute(db)
        : { rows: [] };
      const [found] = rows;
      if (found === undefined) throw new GodwitError('BadRequest', `marker [${marker.slice(0, 120)}] not found`);
      after = found.place;
    }
    if (limit === 0) return { rows: [], limit };
    const rows = await serverRows(db)
      .innerJoin(sql<{ id: string; place: number }>`(${ordered})`.as('o'), (join) => join.on(sql`o.id`, '=', sql`server.id`) as never)
      .where(sql<SqlBool>`o.place > ${after} and o.place <= ${after + limit}`)
      .orderBy(sql`o.place`)
      .execute();
    return { rows: rows as unknown as readonly ServerRow[], limit };
  } catch (error) {
    // PostgreSQL's class for a regular expression that is none.
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === '2201B')
      throw invalid('name', one(query, 'name') ?? '', 'is not a regular expression');
    throw error;
  }
}
