import { type TSchema, Type } from 'typebox';
import { perMinor } from './closed.ts';

/** One key of a query: what each of its values may be, from which microversion the key is known, and from which it may be given only once. */
export type QueryKey = { readonly value: TSchema; readonly since?: number; readonly once?: number; readonly required?: true };

/** Of a request's query as an object: every key with the list of its values, in order. Keys that are not known are ignored before `closedSince`, refused from it on. */
export function querySchema(keys: Readonly<Record<string, QueryKey>>, closedSince: number) {
  return perMinor((minor) => {
    const known = Object.entries(keys).filter(([, { since = 0 }]) => since <= minor);
    const properties = known.map(([key, { value, once = Infinity, required }]) => {
      const values = Type.Array(value, { minItems: 1, ...(minor >= once ? { maxItems: 1 } : {}) });
      return [key, required === true ? values : Type.Optional(values)] as const;
    });
    return Type.Object(Object.fromEntries(properties), { additionalProperties: minor < closedSince });
  });
}

export const QueryText = Type.String();
/** A non-negative whole number. */
export const QueryCount = Type.String({ pattern: '^\\d{1,18}$' });
/** A point in time in ISO 8601, without a zone in UTC; the blank is the `+` of a zone that was not percent-encoded. */
export const QueryTime = Type.String({
  pattern: '^\\s*\\d{4}-\\d{2}-\\d{2}([Tt ]\\d{2}:\\d{2}(:\\d{2}([.,]\\d{1,9})?)?([Zz]|[+ -]\\d{2}(:?\\d{2})?)?)?\\s*$',
});
