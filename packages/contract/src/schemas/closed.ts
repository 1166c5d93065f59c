import { type TProperties, type TSchema, Type } from 'typebox';

/** An object with these properties and no others; strict clients refuse an answer with one more. */
export const Closed = <P extends TProperties>(properties: P) => Type.Object(properties, { additionalProperties: false });

export const Nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** One of these texts. */
export const OneOf = <const T extends readonly string[]>(...values: T) => Type.Unsafe<T[number]>({ type: 'string', enum: [...values] });

const hex = '[0-9a-fA-F]';
export const Uuid = Type.String({ pattern: `^${hex}{8}-?(${hex}{4}-?){3}${hex}{12}$` });
export const Link = Type.Object(
  { rel: Type.String(), href: Type.String(), type: Type.Optional(Type.String()) },
  { additionalProperties: false },
);
export const Links = Type.Array(Link);
/** `2026-01-31T12:00:00Z` */
export const TimeZ = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' });
/** `2026-01-31T12:00:00.000000`, UTC without saying so. */
export const TimeMicros = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{6}$' });

/** One schema per microversion, made once: `ajv` compiles per object. */
export function perMinor<S extends TSchema>(make: (minor: number) => S): (minor: number) => S {
  const made = new Map<number, S>();
  return (minor) => {
    const known = made.get(minor);
    if (known !== undefined) return known;
    const schema = make(minor);
    made.set(minor, schema);
    return schema;
  };
}

/** The same, for answers that show an admin more. */
export function perMinorAndRole<S extends TSchema>(make: (minor: number, isAdmin: boolean) => S): (minor: number, isAdmin: boolean) => S {
  const forAdmin = perMinor((minor) => make(minor, true));
  const forOthers = perMinor((minor) => make(minor, false));
  return (minor, isAdmin) => (isAdmin ? forAdmin(minor) : forOthers(minor));
}

/** The same at every microversion. */
export const always =
  <S extends TSchema>(schema: S) =>
  (): S =>
    schema;
