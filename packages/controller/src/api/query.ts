import { GodwitError } from '@godwit/domain/errors';
import { queryViolation } from './json-body.ts';

/** A request's query: every key with its values in order. Throws `BadRequest` for what no database could hold. */
export type Query = ReadonlyMap<string, readonly string[]>;

export function parseQuery(text: string): Query {
  const query = new Map<string, string[]>();
  for (const [key, value] of new URLSearchParams(text)) {
    if (key.includes('\0') || value.includes('\0')) throw new GodwitError('BadRequest', 'A query parameter holds a NUL character.');
    const values = query.get(key);
    if (values === undefined) query.set(key, [value]);
    else values.push(value);
  }
  return query;
}

/** The last value given for a key (what a client that appends overrides means), or null. */
export const one = (query: Query, key: string): string | null => query.get(key)?.at(-1) ?? null;

const truthy: ReadonlySet<string> = new Set(['1', 't', 'true', 'on', 'y', 'yes']);
const falsy: ReadonlySet<string> = new Set(['0', 'f', 'false', 'off', 'n', 'no']);

/** A flag such as `all_tenants`: present without a value is true. Throws `BadRequest` for what is neither. */
export function flag(query: Query, key: string): boolean {
  const value = one(query, key);
  if (value === null) return false;
  const word = value.trim().toLowerCase();
  if (word === '' || truthy.has(word)) return true;
  if (falsy.has(word)) return false;
  throw invalid(key, value, 'is not a boolean');
}

/** A non-negative whole number, or null when absent. */
export function count(query: Query, key: string): number | null {
  const value = one(query, key);
  if (value === null || value === '') return null;
  if (!/^\d{1,18}$/.test(value)) throw invalid(key, value, 'is not a non-negative integer');
  // More than any of what is counted; PostgreSQL's integers end there.
  return Math.min(Number(value), 2 ** 31 - 1);
}

/** A point in time in ISO 8601; without a zone it is UTC. */
export function time(query: Query, key: string): Date | null {
  const value = one(query, key);
  if (value === null) return null;
  // A `+` of a zone that was not percent-encoded arrives as a blank.
  const text = value.trim().replace(/ (\d{2}:?\d{2})$/, '+$1');
  const iso = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$/i.test(text);
  const date = new Date(
    iso
      ? (/(Z|[+-]\d{2}(:?\d{2})?)$/i.test(text.slice(10)) || text.length === 10 ? text : `${text}Z`).replace(' ', 'T').replace(',', '.')
      : Number.NaN,
  );
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9000) throw invalid(key, value, 'is not a date-time');
  return date;
}

/** What `limit` and `marker` ask for; at most `maxLimit` items. */
export function page(query: Query, maxLimit = 1000): { readonly limit: number; readonly marker: string | null } {
  const limit = count(query, 'limit');
  return { limit: Math.min(limit ?? maxLimit, maxLimit), marker: one(query, 'marker') };
}

/** What the schema knows of the query; whatever else it lets pass is left out. Throws `BadRequest` for what it does not. */
export function knownQuery(schema: QuerySchema, query: Query): Query {
  const found = queryViolation(schema, Object.fromEntries(query));
  if (found !== null) throw new GodwitError('BadRequest', found);
  return new Map([...query].filter(([key]) => Object.hasOwn(schema.properties, key)));
}
export type QuerySchema = { readonly properties: Readonly<Record<string, object>>; readonly required?: readonly string[] };

export function invalid(key: string, value: string, why: string): GodwitError {
  return new GodwitError('BadRequest', `Invalid input for query parameters ${key}. Value: ${value.slice(0, 120)}. ${why}`);
}

/** The query of the next page: everything asked for, with another marker. */
export function nextQuery(query: Query, marker: string): string {
  const next = new URLSearchParams();
  for (const [key, values] of query) if (key !== 'marker') for (const value of values) next.append(key, value);
  next.append('marker', marker);
  return next.toString();
}
