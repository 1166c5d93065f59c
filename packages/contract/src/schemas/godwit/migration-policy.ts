import { Type } from 'typebox';
import { Closed, Nullable } from '../closed.ts';

/** Fields of a policy: which there are and what they may be is the domain's table of policies, which answers in its own sentences. */
const Policy = Type.Object({});
const Bandwidth = Type.Integer({ minimum: 1_000_000, maximum: 1_000_000_000_000 });

/** `POST /servers/{id}/live-migrations` */
export const LiveMigrationRequest = Closed({
  host: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 255 }))),
  blockMigration: Type.Optional(Type.Union([Type.Boolean(), Type.Literal('auto')])),
  policy: Type.Optional(Policy),
  /** Bytes per second. */
  maxBandwidthBytes: Type.Optional(Nullable(Bandwidth)),
});

/** `PATCH /migrations/{id}`: bytes per second, null: as much as the links allow; the fields of its policy that change. */
export const MigrationChange = Type.Object(
  { maxBandwidthBytes: Type.Optional(Nullable(Bandwidth)), policy: Type.Optional(Policy) },
  { additionalProperties: false, minProperties: 1 },
);

/** `PUT /migration-policies/{scope}` */
export const PolicyChange = Closed({ policy: Policy });
