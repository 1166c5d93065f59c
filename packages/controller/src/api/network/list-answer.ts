import { GodwitError } from '@godwit/domain/errors';
import { count, flag, invalid, nextQuery, one, type Query } from '../query.ts';
import type { ServiceAnswer, ServiceRequest } from '../serve-routes.ts';

type View = { readonly id: string } & Readonly<Record<string, unknown>>;

const reserved = new Set(['limit', 'marker', 'page_reverse', 'sort_key', 'sort_dir', 'fields']);
const alsoCalled: Readonly<Record<string, string>> = { tenant_id: 'project_id' };

/**
 * A collection as the network API lists it: filters by attribute (several values of one are alternatives), `fields`, sort and paging. The views are all that the caller
 * may see; what can make them many (ports of a device, of a network) is filtered in the database before.
 */
export function listAnswer(
  key: string,
  views: readonly View[],
  { query, base, path }: Pick<ServiceRequest, 'query' | 'base' | 'path'>,
): ServiceAnswer {
  let list = views.filter((view) => [...query].every(([name, values]) => reserved.has(name) || matches(view, name, values)));
  const sortKeys = query.get('sort_key') ?? [];
  const compare = (a: View, b: View): number => {
    for (const [index, name] of sortKeys.entries()) {
      const [left, right] = [sortable(a[name], name), sortable(b[name], name)];
      if (left !== right) return (left < right ? -1 : 1) * ((query.get('sort_dir')?.[index] ?? 'asc') === 'desc' ? -1 : 1);
    }
    return a.id < b.id ? -1 : 1;
  };
  const limit = count(query, 'limit');
  if (sortKeys.length > 0 || limit !== null || query.has('marker')) list = list.toSorted(compare);
  if (flag(query, 'page_reverse')) list.reverse();
  const marker = one(query, 'marker');
  if (marker !== null) {
    const at = list.findIndex((view) => view.id === marker);
    if (at < 0) throw new GodwitError('BadRequest', `The marker ${marker.slice(0, 60)} was not found.`);
    list = list.slice(at + 1);
  }
  const page = limit === null || limit === 0 ? list : list.slice(0, limit);
  const last = page.at(-1);
  const links =
    page.length < list.length && last !== undefined
      ? { [`${key}_links`]: [{ rel: 'next', href: `${base}${path}?${nextQuery(query, last.id)}` }] }
      : {};
  return { status: 200, body: { [key]: page.map((view) => fieldsOf(view, query)), ...links } };
}

/** Only the attributes named in `fields`, or all. */
export function fieldsOf(view: View, query: Query): object {
  const fields = query.get('fields')?.flatMap((field) => field.split(','));
  return fields === undefined ? view : Object.fromEntries(Object.entries(view).filter(([name]) => fields.includes(name)));
}

function matches(view: View, asked: string, values: readonly string[]): boolean {
  const name = Object.hasOwn(alsoCalled, asked) ? (alsoCalled[asked] ?? asked) : asked;
  // An attribute that nothing has filters nothing: the API ignores what it does not know.
  if (!Object.hasOwn(view, name)) return true;
  const value = view[name];
  if (name === 'fixed_ips') return values.every((wanted) => matchesFixedIp(value as readonly Record<string, unknown>[], wanted));
  if (typeof value === 'boolean') return values.some((wanted) => /^(true|1|yes|on)$/i.test(wanted) === value);
  if (Array.isArray(value)) return values.some((wanted) => value.includes(wanted));
  return values.some(
    (wanted) => wanted.toLowerCase() === (typeof value === 'string' || typeof value === 'number' ? String(value) : '').toLowerCase(),
  );
}

/** `ip_address=10.0.0.5` or `subnet_id=…` */
function matchesFixedIp(fixedIps: readonly Record<string, unknown>[], wanted: string): boolean {
  const [name = '', ...rest] = wanted.split('=');
  return fixedIps.some((fixedIp) => fixedIp[name] === rest.join('='));
}

function sortable(value: unknown, name: string): string | number {
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  throw invalid('sort_key', name, 'is not a sort key');
}
