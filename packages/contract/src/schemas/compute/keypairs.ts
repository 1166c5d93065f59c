import { Type } from 'typebox';
import { Closed, Links, Nullable, OneOf, perMinor, TimeMicros } from '../closed.ts';

/** OpenStack compute API v2.1, "Keypairs". From 2.92 on the key has to be brought along. */
export const CreateKeypair = perMinor((minor) =>
  Closed({
    keypair: Closed({
      name: Type.String({ minLength: 1, maxLength: 255, pattern: minor >= 92 ? '^[A-Za-z0-9 _.@-]+$' : '^[A-Za-z0-9 _-]+$' }),
      public_key:
        minor >= 92 ? Type.String({ minLength: 1, maxLength: 65_535 }) : Type.Optional(Type.String({ minLength: 1, maxLength: 65_535 })),
      ...(minor >= 2 ? { type: Type.Optional(OneOf('ssh', 'x509')) } : {}),
      ...(minor >= 10 ? { user_id: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })) } : {}),
    }),
  }),
);
export type CreateKeypair = {
  readonly keypair: { readonly name: string; readonly public_key?: string; readonly type?: 'ssh' | 'x509'; readonly user_id?: string };
};

const base = (minor: number) => ({
  name: Type.String(),
  public_key: Type.String(),
  fingerprint: Type.String(),
  ...(minor >= 2 ? { type: OneOf('ssh', 'x509') } : {}),
});
export const KeypairsAnswer = perMinor((minor) =>
  Closed({
    keypairs: Type.Array(Closed({ keypair: Closed(base(minor)) })),
    ...(minor >= 35 ? { keypairs_links: Type.Optional(Links) } : {}),
  }),
);
export const KeypairAnswer = perMinor((minor) =>
  Closed({
    keypair: Closed({
      ...base(minor),
      user_id: Type.String(),
      id: Type.Integer(),
      deleted: Type.Boolean(),
      created_at: TimeMicros,
      updated_at: Nullable(TimeMicros),
      deleted_at: Nullable(TimeMicros),
    }),
  }),
);
export const KeypairCreateAnswer = perMinor((minor) =>
  Closed({
    keypair: Closed({ ...base(minor), user_id: Type.String(), ...(minor < 92 ? { private_key: Type.Optional(Type.String()) } : {}) }),
  }),
);
