import { GodwitError } from '@godwit/domain/errors';
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

/** The sort that `sort_key` and `sort_dir` ask for, as SQL expressions of `columns`. Throws `BadRequest` for another key or direction. */
export function sortOf(
  request: ComputeRequest<never>,
  columns: Readonly<Record<string, string>>,
  fallback: readonly Sort[],
): readonly Sort[] {
  const keys = request.query.get('sort_key') ?? [];
  const directions = request.query.get('sort_dir') ?? [];
  for (const direction of directions) {
    if (direction !== 'asc' && direction !== 'desc')
      throw new GodwitError(
        'BadRequest',
        `Invalid input for query parameters sort_dir. Value: ${direction.slice(0, 60)}. must be asc or desc`,
      );
  }
  if (keys.length === 0)
    return directions[0] === undefined
      ? fallback
      : fallback.map((sort) => ({ ...sort, direction: directions[0] === 'asc' ? 'asc' : 'desc' }));
  return keys.map((key, index) => {
    const column = Object.hasOwn(columns, key) ? columns[key] : undefined;
    if (column === undefined)
      throw new GodwitError(
        'BadRequest',
        `Invalid input for query parameters sort_key. Value: ${key.slice(0, 60)}. is not a key to sort by`,
      );
    return { column, direction: (directions[index] ?? directions.at(-1)) === 'asc' ? 'asc' : 'desc' };
  });
}

export type Sort = { readonly column: string; readonly direction: 'asc' | 'desc' };
