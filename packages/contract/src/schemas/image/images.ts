import { type Static, Type } from 'typebox';
import { Nullable, OneOf, TimeZ, Uuid } from '../closed.ts';

/** The image service's v2 resources. Source: the OpenStack image service API reference, v2. */
export const imageStatuses = ['queued', 'saving', 'active', 'deactivated', 'deleted', 'killed'] as const;
export const imageVisibilities = ['public', 'private', 'shared', 'community'] as const;
export const diskFormatNames = ['raw', 'qcow2', 'iso', 'aki', 'ari', 'ami'] as const;
export const containerFormatNames = ['bare', 'ovf', 'aki', 'ari', 'ami', 'ova', 'docker'] as const;

const base = {
  id: Uuid,
  name: Nullable(Type.String({ maxLength: 255 })),
  status: OneOf(...imageStatuses),
  visibility: OneOf(...imageVisibilities),
  protected: Type.Boolean(),
  os_hidden: Type.Boolean(),
  owner: Nullable(Type.String()),
  checksum: Nullable(Type.String({ pattern: '^[0-9a-f]{32}$' })),
  os_hash_algo: Nullable(Type.Literal('sha512')),
  os_hash_value: Nullable(Type.String({ pattern: '^[0-9a-f]{128}$' })),
  size: Nullable(Type.Integer({ minimum: 0 })),
  virtual_size: Nullable(Type.Integer({ minimum: 0 })),
  container_format: Nullable(OneOf(...containerFormatNames)),
  disk_format: Nullable(OneOf(...diskFormatNames)),
  min_disk: Type.Integer({ minimum: 0 }),
  min_ram: Type.Integer({ minimum: 0 }),
  tags: Type.Array(Type.String()),
  created_at: TimeZ,
  updated_at: TimeZ,
  self: Type.String({ pattern: '^/v2/images/' }),
  file: Type.String({ pattern: '^/v2/images/.*/file$' }),
  schema: Type.Literal('/v2/schemas/image'),
};

/** An image: the attributes of the service, and properties of one's own, which are texts. */
export const Image = Type.Object(base, { additionalProperties: Type.Union([Type.String(), Type.Null()]) });
export type Image = Static<typeof Image>;
/** Names that are attributes and can never be properties. */
export const imageAttributes: readonly string[] = [
  ...Object.keys(base),
  'direct_url',
  'locations',
  'deleted',
  'deleted_at',
  'is_public',
  'stores',
];

export const ImageList = Type.Object(
  { images: Type.Array(Image), first: Type.String(), next: Type.Optional(Type.String()), schema: Type.Literal('/v2/schemas/images') },
  { additionalProperties: false },
);

const byteBounded = { type: 'integer', minimum: 0, maximum: 2_147_483_647 } as const;
const property = Type.Union([Type.String({ maxLength: 65_535 }), Type.Null()]);
const tag = Type.String({ maxLength: 255, minLength: 1 });
const writable = {
  name: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
  visibility: Type.Optional(OneOf(...imageVisibilities)),
  protected: Type.Optional(Type.Boolean()),
  os_hidden: Type.Optional(Type.Boolean()),
  owner: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
  container_format: Type.Optional(Nullable(OneOf(...containerFormatNames))),
  disk_format: Type.Optional(Nullable(OneOf(...diskFormatNames))),
  min_disk: Type.Optional(Type.Unsafe<number>(byteBounded)),
  min_ram: Type.Optional(Type.Unsafe<number>(byteBounded)),
  tags: Type.Optional(Type.Array(tag, { maxItems: 128 })),
};
export const ImageCreate = Type.Object({ id: Type.Optional(Uuid), ...writable }, { additionalProperties: property });
export type ImageCreate = Static<typeof ImageCreate>;

/** What a PATCH may set, by attribute; the value of anything else is a text. */
export const imageWritable: { readonly [attribute: string]: object } = { ...writable };
export const imagePropertyValue = Type.String({ maxLength: 65_535 });

/** Both generations of the service's JSON patch. */
export const ImagePatch = Type.Array(
  Type.Union([
    Type.Object(
      { op: OneOf('add', 'replace', 'remove'), path: Type.String({ maxLength: 300 }), value: Type.Optional(Type.Unknown()) },
      { additionalProperties: false },
    ),
    Type.Object({ add: Type.String({ maxLength: 300 }), value: Type.Unknown() }, { additionalProperties: false }),
    Type.Object({ replace: Type.String({ maxLength: 300 }), value: Type.Unknown() }, { additionalProperties: false }),
    Type.Object({ remove: Type.String({ maxLength: 300 }) }, { additionalProperties: false }),
  ]),
  { maxItems: 256 },
);
export type ImagePatch = Static<typeof ImagePatch>;

export const ImageMember = Type.Object(
  {
    image_id: Uuid,
    member_id: Type.String(),
    status: OneOf('pending', 'accepted', 'rejected'),
    created_at: TimeZ,
    updated_at: TimeZ,
    schema: Type.Literal('/v2/schemas/member'),
  },
  { additionalProperties: false },
);
export const ImageMemberList = Type.Object(
  { members: Type.Array(ImageMember), schema: Type.Literal('/v2/schemas/members') },
  { additionalProperties: false },
);
export const ImageMemberCreate = Type.Object({ member: Type.String({ minLength: 1, maxLength: 255 }) }, { additionalProperties: false });
export const ImageMemberUpdate = Type.Object({ status: OneOf('pending', 'accepted', 'rejected') }, { additionalProperties: false });
