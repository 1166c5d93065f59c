import { Type } from 'typebox';
import { Nullable } from '../closed.ts';

/** Body of `PATCH /godwit/v1/hosts/{name}`: what an operator sets of one host; what is left out stays as it is. */
export const HostSettings = Type.Object(
  {
    restartGuestsAfterBoot: Type.Optional(Type.Boolean()),
    /** Of each migration over this host's link, bytes per second; null: all of it. */
    migrationBandwidthBytes: Type.Optional(Nullable(Type.Integer({ minimum: 1_000_000, maximum: 1_000_000_000_000 }))),
  },
  { additionalProperties: false, minProperties: 1 },
);
