import { type Static, Type } from 'typebox';
import { Closed, Nullable, OneOf } from '../closed.ts';

/** OpenStack identity API v3, "Authentication and token management". */
const Text = Type.String({ maxLength: 255 });
const DomainRef = Type.Union([Type.Object({ id: Text }), Type.Object({ name: Text })]);
const Password = Type.String({ maxLength: 4096 });

export const AuthRequest = Type.Object({
  auth: Type.Object({
    identity: Type.Object({
      methods: Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 8 }),
      password: Type.Optional(
        Type.Object({
          user: Type.Union([
            Type.Object({ id: Text, password: Password }),
            Type.Object({ name: Text, domain: DomainRef, password: Password }),
          ]),
        }),
      ),
      token: Type.Optional(Type.Object({ id: Type.String({ maxLength: 4096 }) })),
    }),
    scope: Type.Optional(
      Type.Union([
        Type.Literal('unscoped'),
        Closed({ unscoped: Type.Object({}) }),
        Closed({ project: Type.Union([Type.Object({ id: Text }), Type.Object({ name: Text, domain: DomainRef })]) }),
        Closed({ domain: DomainRef }),
      ]),
    ),
  }),
});
export type AuthRequest = Static<typeof AuthRequest>;
export type DomainRef = Static<typeof DomainRef>;

const Ref = Closed({ id: Type.String(), name: Type.String() });
const RefIn = Closed({ id: Type.String(), name: Type.String(), domain: Ref });
const Time = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{6}Z$' });

export const CatalogEntry = Closed({
  id: Type.String(),
  type: OneOf('identity', 'compute', 'image', 'network', 'placement', 'godwit'),
  name: Type.String(),
  endpoints: Type.Array(
    Closed({
      id: Type.String(),
      interface: OneOf('public', 'internal', 'admin'),
      region: Type.String(),
      region_id: Type.String(),
      url: Type.String(),
    }),
  ),
});

export const TokenAnswer = Closed({
  token: Closed({
    methods: Type.Array(Type.String()),
    user: Closed({ id: Type.String(), name: Type.String(), domain: Ref, password_expires_at: Type.Null() }),
    audit_ids: Type.Array(Type.String(), { minItems: 1, maxItems: 2 }),
    issued_at: Time,
    expires_at: Time,
    project: Type.Optional(RefIn),
    domain: Type.Optional(Ref),
    is_domain: Type.Optional(Type.Boolean()),
    roles: Type.Optional(Type.Array(Ref)),
    catalog: Type.Optional(Type.Array(CatalogEntry)),
  }),
});

export const SelfLinks = Closed({ self: Type.String() });
export const ListLinks = Closed({ self: Type.String(), next: Type.Null(), previous: Type.Null() });
export const CatalogAnswer = Closed({ catalog: Type.Array(CatalogEntry), links: ListLinks });
export const NullableText = Nullable(Type.String());
