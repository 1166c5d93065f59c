import { nextQuery } from '../query.ts';
import type { ComputeRequest } from './route.ts';

/** `<collection>_links` of a list that may go on; nothing when it does not. As in the reference, a page that came out full is taken to go on. */
export function nextLinks(
  request: ComputeRequest<never>,
  collection: string,
  items: readonly unknown[],
  limit: number,
  marker: string | undefined,
): Record<string, object> {
  if (limit === 0 || items.length < limit || marker === undefined) return {};
  return {
    [`${collection}_links`]: [
      { rel: 'next', href: `${request.base}${request.path.replace(/\/+$/, '')}?${nextQuery(request.query, marker)}` },
    ],
  };
}

/** The JSON of a list whose items are JSON already. */
export function jsonList(collection: string, items: readonly string[], more: Readonly<Record<string, object>>): string {
  const rest = JSON.stringify(more).slice(1, -1);
  return `{${JSON.stringify(collection)}:[${items.join(',')}]${rest === '' ? '' : `,${rest}`}}`;
}

/** The sort that `sort_key` and `sort_dir` ask for, as SQL expressions; a key without one means nothing. The query's schema has refused what may not be asked. */
export function sortOf<Column>(
  request: ComputeRequest<never>,
  columns: Readonly<Record<string, Column>>,
  fallback: readonly Sort<Column>[],
): readonly Sort<Column>[] {
  const keys = request.query.get('sort_key') ?? [];
  const directions = request.query.get('sort_dir') ?? [];
  if (keys.length === 0)
    return directions[0] === undefined
      ? fallback
      : fallback.map((sort) => ({ ...sort, direction: directions[0] === 'asc' ? 'asc' : 'desc' }));
  const sorts = keys.flatMap((key, index) => {
    const column = Object.hasOwn(columns, key) ? columns[key] : undefined;
    const direction: Sort<Column>['direction'] = (directions[index] ?? directions.at(-1)) === 'asc' ? 'asc' : 'desc';
    return column === undefined ? [] : [{ column, direction }];
  });
  return sorts.length === 0 ? fallback : sorts;
}

export type Sort<Column> = { readonly column: Column; readonly direction: 'asc' | 'desc' };
