import { type Static, Type } from 'typebox';
import { Closed, Nullable, perMinor, TimeMicros, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Host aggregates (os-aggregates)". */
const metadata = Type.Record(Type.String(), Type.String());
const fields = (minor: number) => ({
  id: Type.Integer({ minimum: 1 }),
  name: Type.String(),
  availability_zone: Nullable(Type.String()),
  created_at: TimeMicros,
  updated_at: Nullable(TimeMicros),
  deleted: Type.Literal(false),
  deleted_at: Type.Null(),
  ...(minor >= 41 ? { uuid: Uuid } : {}),
});
const Aggregate = (minor: number) => Closed({ ...fields(minor), hosts: Type.Array(Type.String()), metadata });
export const AggregateListAnswer = perMinor((minor) => Closed({ aggregates: Type.Array(Aggregate(minor)) }));
export const AggregateAnswer = perMinor((minor) => Closed({ aggregate: Aggregate(minor) }));
/** The answer of a create has neither hosts nor metadata. */
export const AggregateCreateAnswer = perMinor((minor) => Closed({ aggregate: Closed(fields(minor)) }));
/** Strict clients want to see when it changed. */
export const AggregateUpdateAnswer = perMinor((minor) =>
  Closed({ aggregate: Closed({ ...fields(minor), updated_at: TimeMicros, hosts: Type.Array(Type.String()), metadata }) }),
);

const name = Type.String({ minLength: 1, maxLength: 255, pattern: '^(?! )[^\\u0000-\\u001f\\u007f]*(?<! )$' });
/** A colon separates zone and host in other requests. */
const zone = Type.String({ minLength: 1, maxLength: 255, pattern: '^(?! )[^:\\u0000-\\u001f\\u007f]*(?<! )$' });
export const CreateAggregate = Closed({ aggregate: Closed({ name, availability_zone: Type.Optional(Nullable(zone)) }) });
export type CreateAggregate = Static<typeof CreateAggregate>;
export const UpdateAggregate = Closed({
  aggregate: Type.Object(
    { name: Type.Optional(name), availability_zone: Type.Optional(Nullable(zone)) },
    { additionalProperties: false, minProperties: 1 },
  ),
});
export type UpdateAggregate = Static<typeof UpdateAggregate>;

const Host = Closed({ host: Type.String({ minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' }) });
const SetMetadata = Closed({
  metadata: Type.Record(Type.String({ pattern: '^[a-zA-Z0-9_.: -]{1,255}$' }), Nullable(Type.String({ maxLength: 255 })), {
    additionalProperties: false,
  }),
});
export const aggregateActions = { add_host: Host, remove_host: Host, set_metadata: SetMetadata } as const;
export const AggregateAction = Type.Object({}, { minProperties: 1, maxProperties: 1 });
export type AggregateAction =
  | { readonly add_host: Static<typeof Host> }
  | { readonly remove_host: Static<typeof Host> }
  | { readonly set_metadata: Static<typeof SetMetadata> };
