import { GodwitError } from '@godwit/domain/errors';
import { type SelectQueryBuilder, type SqlBool, sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { Tables } from '../../store/tables.ts';
import type { Caller } from '../../workflows/operations.ts';
import { count, flag, invalid, one, type Query } from '../query.ts';
import { visibleImages } from './image-access.ts';
import type { ImageRow } from './image-view.ts';

type Images = SelectQueryBuilder<Tables, 'image', object>;

/** Default of the service's `limit_param_default`, and its `api_limit_max`. */
const [defaultLimit, maxLimit] = [25, 1000];

const sortColumns: Readonly<Record<string, string>> = {
  name: 'name',
  status: 'status',
  container_format: 'container_format',
  disk_format: 'disk_format',
  size: 'size_bytes',
  id: 'id',
  created_at: 'created_at',
  updated_at: 'updated_at',
};
/** Compared as text, each with `in:` lists. */
const textFilters: Readonly<Record<string, string>> = {
  id: 'id',
  name: 'name',
  status: 'status',
  container_format: 'container_format',
  disk_format: 'disk_format',
  owner: 'owner',
  checksum: 'md5',
  os_hash_value: 'sha512',
};
const numberFilters: Readonly<Record<string, readonly [column: string, operator: '=' | '>=' | '<=']>> = {
  size_min: ['size_bytes', '>='],
  size_max: ['size_bytes', '<='],
  min_ram: ['min_ram_mib', '='],
  min_disk: ['min_disk_gib', '='],
};
const timeOperators: Readonly<Record<string, string>> = { gt: '>', gte: '>=', lt: '<', lte: '<=', eq: '=', neq: '<>' };
const notProperties = new Set([
  'limit',
  'marker',
  'sort',
  'sort_key',
  'sort_dir',
  'visibility',
  'member_status',
  'protected',
  'os_hidden',
  'tag',
  'created_at',
  'updated_at',
  'os_hash_algo',
]);

/** One page of images, and whether there are more. Throws BadRequest for what is no filter, sort or marker. */
export async function listImages(
  db: Db,
  caller: Caller,
  query: Query,
): Promise<{ readonly rows: readonly ImageRow[]; readonly more: boolean }> {
  const limit = Math.min(count(query, 'limit') ?? defaultLimit, maxLimit);
  const keys = sortKeys(query);
  let list: Images = filtered(db.selectFrom('image'), caller, query);
  const marker = one(query, 'marker');
  if (marker !== null) {
    const at = await db
      .selectFrom('image')
      .select('id')
      .where(sql<boolean>`id::text = ${marker}`)
      .where(visibleImages(caller))
      .executeTakeFirst();
    if (at === undefined) throw new GodwitError('BadRequest', 'Invalid marker.');
    list = list.where(afterMarker(keys, marker));
  }
  for (const { column, descending } of keys)
    list = list.orderBy(sql.ref(column), (order) => (descending ? order.desc().nullsLast() : order.asc().nullsFirst()));
  const rows = await list
    .selectAll('image')
    .limit(limit + 1)
    .execute();
  return { rows: rows.slice(0, limit), more: limit > 0 && rows.length > limit };
}

function filtered(images: SelectQueryBuilder<Tables, 'image', object>, caller: Caller, query: Query): Images {
  let list = images.where('deleted_at', 'is', null).where(visibleImages(caller));
  const visibility = one(query, 'visibility');
  if (visibility === null) {
    // Community images of others, and shared ones not accepted, are found only when asked for.
    const status = one(query, 'member_status') ?? 'accepted';
    if (!['pending', 'accepted', 'rejected', 'all'].includes(status)) throw invalid('member_status', status, 'is not a member status');
    if (!caller.isAdmin) {
      list = list.where((eb) =>
        eb.or([
          eb('visibility', '=', 'public'),
          eb('owner', '=', caller.projectId),
          eb.and([
            eb('visibility', '=', 'shared'),
            eb.exists(
              eb
                .selectFrom('image_member')
                .select('image_id')
                .whereRef('image_id', '=', 'image.id')
                .where('project_id', '=', caller.projectId)
                .where((member) => (status === 'all' ? member.lit(true) : member('status', '=', status as 'pending'))),
            ),
          ]),
        ]),
      );
    }
  } else if (visibility !== 'all') {
    if (!['public', 'private', 'shared', 'community'].includes(visibility)) throw invalid('visibility', visibility, 'is not a visibility');
    list = list.where('visibility', '=', visibility as 'public');
  }
  list = list.where('hidden', '=', flag(query, 'os_hidden'));
  if (query.has('protected')) list = list.where('protected', '=', flag(query, 'protected'));
  for (const tag of query.get('tag') ?? []) list = list.where(sql<boolean>`${tag} = any(tags)`);
  for (const key of ['created_at', 'updated_at'] as const)
    for (const value of query.get(key) ?? []) list = list.where(timeFilter(key, value));
  for (const [key, values] of query) {
    const value = values.at(-1) ?? '';
    const column = textFilters[key];
    const number = numberFilters[key];
    if (column !== undefined) list = list.where(sql<boolean>`${sql.ref(column)}::text = any(${listed(value)}::text[])`);
    else if (number !== undefined) list = list.where(sql<boolean>`${sql.ref(number[0])} ${sql.raw(number[1])} ${count(query, key)}`);
    else if (!notProperties.has(key)) list = list.where(sql<boolean>`properties ->> ${key} = ${value}`);
  }
  return list;
}

/** `in:a,"b,c"` is a list; anything else is itself. */
function listed(value: string): readonly string[] {
  if (!value.startsWith('in:')) return [value];
  return [...value.slice(3).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/g)].map(
    (match) => match[1]?.replaceAll(/\\(.)/g, '$1') ?? match[2] ?? '',
  );
}

function timeFilter(column: string, value: string) {
  const match = /^(?:(gte|gt|lte|lt|eq|neq):)?(.+)$/.exec(value);
  const date = new Date(match?.[2] === undefined ? Number.NaN : /(Z|[+-]\d{2}:?\d{2})$/.test(match[2]) ? match[2] : `${match[2]}Z`);
  if (Number.isNaN(date.getTime())) throw invalid(column, value, 'is not a date-time');
  return sql<boolean>`date_trunc('second', ${sql.ref(column)}) ${sql.raw(timeOperators[match?.[1] ?? 'eq'] ?? '=')} ${date}`;
}

type SortKey = { readonly column: string; readonly descending: boolean };

/** The order asked for, newest first without one; made total by creation time and id, so that pages neither repeat nor skip. */
function sortKeys(query: Query): readonly SortKey[] {
  const sort = one(query, 'sort');
  const asked =
    sort !== null
      ? sort.split(',').map((part) => part.trim().split(':') as [string, string | undefined])
      : (query.get('sort_key') ?? []).map((key, index): [string, string | undefined] => [
          key,
          query.get('sort_dir')?.[index] ?? query.get('sort_dir')?.at(-1),
        ]);
  const direction = (text: string | undefined): boolean => {
    if (text === undefined || text === 'desc') return true;
    if (text === 'asc') return false;
    throw invalid('sort_dir', text, 'is neither asc nor desc');
  };
  if (asked.length === 0 && query.has('sort_dir')) asked.push(['created_at', one(query, 'sort_dir') ?? undefined]);
  const keys = asked.map(([key, dir]): SortKey => {
    const column = Object.hasOwn(sortColumns, key) ? sortColumns[key] : undefined;
    if (column === undefined) throw invalid('sort_key', key, 'is not a sort key');
    return { column, descending: direction(dir) };
  });
  const last = keys.at(-1)?.descending ?? true;
  for (const column of ['created_at', 'id']) if (!keys.some((key) => key.column === column)) keys.push({ column, descending: last });
  return keys;
}

/** Rows that come after the marker's row in the order of `keys`, nulls before (ascending) or after (descending) everything else. */
function afterMarker(keys: readonly SortKey[], marker: string) {
  const of = (column: string) => sql`(select m.${sql.ref(column)} from image m where m.id::text = ${marker})`;
  const alternatives = keys.map(({ column, descending }, index) => {
    const own = sql.ref(`image.${column}`);
    const equal = keys.slice(0, index).map((key) => sql`${sql.ref(`image.${key.column}`)} is not distinct from ${of(key.column)}`);
    const beyond = descending
      ? sql`(${own} < ${of(column)} or (${own} is null and ${of(column)} is not null))`
      : sql`(${own} > ${of(column)} or (${own} is not null and ${of(column)} is null))`;
    return sql`(${sql.join([...equal, beyond], sql` and `)})`;
  });
  return sql<SqlBool>`(${sql.join(alternatives, sql` or `)})`;
}
