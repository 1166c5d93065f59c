import { type Static, Type } from 'typebox';
import { Closed, Links, Nullable, perMinor } from '../closed.ts';

/** OpenStack compute API v2.1, "Flavors". */
const printable = '^(?![\\s])[^\\u0000-\\u001f\\u007f]*[^\\s\\u0000-\\u001f\\u007f]$';
const maxInteger = 2_147_483_647;
/** Clients send numbers as texts too. */
const Count = (minimum: number) =>
  Type.Union([
    Type.Integer({ minimum, maximum: maxInteger }),
    Type.String({ pattern: minimum > 0 ? '^0*[1-9][0-9]{0,8}$' : '^[0-9]{1,9}$' }),
  ]);
const Flag = Type.Union([
  Type.Boolean(),
  Type.String({ pattern: '^([Tt]rue|TRUE|1|[Oo]n|ON|[Yy]es|YES|[Ff]alse|FALSE|0|[Oo]ff|OFF|[Nn]o|NO)$' }),
]);
const Description = Nullable(Type.String({ maxLength: 65_535, pattern: '^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f]*$' }));

export const CreateFlavor = perMinor((minor) =>
  Closed({
    flavor: Closed({
      name: Type.String({ minLength: 1, maxLength: 255, pattern: printable }),
      id: Type.Optional(
        Type.Union([
          Type.Null(),
          Type.Integer({ minimum: 0 }),
          Type.String({ minLength: 1, maxLength: 255, pattern: '^(?! )[a-zA-Z0-9. _-]+(?<! )$' }),
        ]),
      ),
      ram: Count(1),
      vcpus: Count(1),
      disk: Count(0),
      swap: Type.Optional(Count(0)),
      'OS-FLV-EXT-DATA:ephemeral': Type.Optional(Count(0)),
      rxtx_factor: Type.Optional(
        Type.Union([
          Type.Number({ exclusiveMinimum: 0, maximum: 3.4e38 }),
          Type.String({ pattern: '^[0-9]+(\\.[0-9]+)?$', maxLength: 20 }),
        ]),
      ),
      'os-flavor-access:is_public': Type.Optional(Flag),
      ...(minor >= 55 ? { description: Type.Optional(Description) } : {}),
    }),
  }),
);
export type CreateFlavor = {
  readonly flavor: {
    readonly name: string;
    readonly id?: null | number | string;
    readonly ram: number | string;
    readonly vcpus: number | string;
    readonly disk: number | string;
    readonly swap?: number | string;
    readonly 'OS-FLV-EXT-DATA:ephemeral'?: number | string;
    readonly rxtx_factor?: number | string;
    readonly 'os-flavor-access:is_public'?: boolean | string;
    readonly description?: string | null;
  };
};

export const UpdateFlavor = Closed({ flavor: Closed({ description: Description }) });
export type UpdateFlavor = Static<typeof UpdateFlavor>;

const SpecKey = '^[a-zA-Z0-9_.: -]{1,255}$';
const SpecValue = Type.Union([Type.String({ maxLength: 255 }), Type.Number()]);
const Specs = Type.Record(Type.String({ pattern: SpecKey }), SpecValue, { additionalProperties: false });
export const CreateExtraSpecs = Closed({ extra_specs: Specs });
export const UpdateExtraSpec = Type.Record(Type.String({ pattern: SpecKey }), SpecValue, {
  additionalProperties: false,
  minProperties: 1,
  maxProperties: 1,
});
export type CreateExtraSpecs = { readonly extra_specs: Readonly<Record<string, string | number>> };
export type UpdateExtraSpec = Readonly<Record<string, string | number>>;

const Tenant = Closed({ tenant: Type.String({ minLength: 1, maxLength: 255 }) });
export const FlavorAction = Type.Union([Closed({ addTenantAccess: Tenant }), Closed({ removeTenantAccess: Tenant })]);
export type FlavorAction = Static<typeof FlavorAction>;

const ExtraSpecs = Type.Record(Type.String(), Type.String());
const Flavor = (minor: number) =>
  Closed({
    id: Type.String(),
    name: Type.String(),
    ram: Type.Integer(),
    disk: Type.Integer(),
    vcpus: Type.Integer(),
    swap: minor >= 75 ? Type.Integer() : Type.Union([Type.Integer({ minimum: 1 }), Type.Literal('')]),
    'OS-FLV-EXT-DATA:ephemeral': Type.Integer(),
    'OS-FLV-DISABLED:disabled': Type.Boolean(),
    'os-flavor-access:is_public': Type.Boolean(),
    rxtx_factor: Type.Number(),
    links: Links,
    ...(minor >= 55 ? { description: Nullable(Type.String()) } : {}),
    ...(minor >= 61 ? { extra_specs: ExtraSpecs } : {}),
  });
export const FlavorAnswer = perMinor((minor) => Closed({ flavor: Flavor(minor) }));
export const FlavorDetailAnswer = perMinor((minor) => Closed({ flavors: Type.Array(Flavor(minor)), flavors_links: Type.Optional(Links) }));
export const FlavorListAnswer = perMinor((minor) =>
  Closed({
    flavors: Type.Array(
      Closed({ id: Type.String(), name: Type.String(), links: Links, ...(minor >= 55 ? { description: Nullable(Type.String()) } : {}) }),
    ),
    flavors_links: Type.Optional(Links),
  }),
);
export const ExtraSpecsAnswer = Closed({ extra_specs: ExtraSpecs });
export const ExtraSpecAnswer = Type.Record(Type.String(), Type.String(), { minProperties: 1, maxProperties: 1 });
export const FlavorAccessAnswer = Closed({ flavor_access: Type.Array(Closed({ flavor_id: Type.String(), tenant_id: Type.String() })) });
