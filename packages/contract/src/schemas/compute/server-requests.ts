import { type Static, Type } from 'typebox';
import { Closed, Nullable, OneOf, perMinor, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Servers": bodies of create and update. Properties come and go with the microversion named beside each. */
export const Name = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: '^(?!\\s)[^\\u0000-\\u001f\\u007f]*[^\\s\\u0000-\\u001f\\u007f]$',
});
export const HostName = Type.String({ minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9._-]+$' });
const Description = Nullable(Type.String({ maxLength: 255, pattern: '^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f]*$' }));
const MetadataKey = '^[a-zA-Z0-9_:. -]{1,255}$';
const MetadataValue = Type.String({ maxLength: 255 });
export const MetadataMap = Type.Record(Type.String({ pattern: MetadataKey }), MetadataValue, {
  additionalProperties: false,
  maxProperties: 128,
});
export const Tag = Type.String({ minLength: 1, maxLength: 60, pattern: '^[^,/]*$' });
export const Tags = Type.Array(Tag, { maxItems: 50 });
const Flag = Type.Union([
  Type.Boolean(),
  Type.String({ pattern: '^([Tt]rue|TRUE|1|[Oo]n|ON|[Yy]es|YES|[Ff]alse|FALSE|0|[Oo]ff|OFF|[Nn]o|NO|)$' }),
]);
const Count = Type.Union([Type.Integer({ minimum: 1, maximum: 1000 }), Type.String({ pattern: '^(1000|[1-9][0-9]{0,2})$' })]);
const DiskConfig = OneOf('AUTO', 'MANUAL');
const Ipv4 = Type.String({ pattern: '^((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)(\\.(?!$)|$)){4}$' });
const Ipv6 = Type.String({ pattern: '^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$', maxLength: 45 });
const AccessIp = (ip: typeof Ipv4) => Type.Union([ip, Type.Literal(''), Type.Null()]);

const Network = (minor: number) =>
  Closed({
    uuid: Type.Optional(Uuid),
    fixed_ip: Type.Optional(Type.Union([Ipv4, Ipv6])),
    port: Type.Optional(Nullable(Uuid)),
    ...(minor === 32 || minor >= 42 ? { tag: Type.Optional(Tag) } : {}),
  });

const BlockDevice = (minor: number) =>
  Closed({
    source_type: Type.Optional(OneOf('volume', 'image', 'snapshot', 'blank')),
    destination_type: Type.Optional(Nullable(OneOf('local', 'volume'))),
    uuid: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    image_id: Type.Optional(Uuid),
    snapshot_id: Type.Optional(Uuid),
    volume_id: Type.Optional(Uuid),
    volume_size: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^[0-9]{0,9}$' }), Type.Null()])),
    boot_index: Type.Optional(Type.Union([Type.Integer(), Type.String({ pattern: '^-?[0-9]{0,9}$' }), Type.Null()])),
    delete_on_termination: Type.Optional(Flag),
    no_device: Type.Optional(Flag),
    device_name: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    disk_bus: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    device_type: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    guest_format: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    ...(minor === 32 || minor >= 42 ? { tag: Type.Optional(Tag) } : {}),
    ...(minor >= 67 ? { volume_type: Type.Optional(Nullable(Type.String({ maxLength: 255 }))) } : {}),
  });

const UuidOrMany = Type.Union([Uuid, Type.Array(Uuid)]);
/** Open: which hints exist is the deployment's business; those this one does not offer are refused by name. */
const Hints = Type.Object({ group: Type.Optional(Uuid), same_host: Type.Optional(UuidOrMany), different_host: Type.Optional(UuidOrMany) });

export const CreateServer = perMinor((minor) =>
  Closed({
    server: Closed({
      name: Name,
      imageRef: Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()])),
      flavorRef: Type.Union([Type.String({ minLength: 1, maxLength: 255 }), Type.Integer({ minimum: 0 })]),
      adminPass: Type.Optional(Type.String({ maxLength: 255 })),
      metadata: Type.Optional(MetadataMap),
      networks: minor >= 37 ? Type.Union([Type.Array(Network(minor)), OneOf('none', 'auto')]) : Type.Optional(Type.Array(Network(minor))),
      'OS-DCF:diskConfig': Type.Optional(DiskConfig),
      accessIPv4: Type.Optional(AccessIp(Ipv4)),
      accessIPv6: Type.Optional(AccessIp(Ipv6)),
      availability_zone: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000-\\u001f\\u007f]+$' }))),
      block_device_mapping: Type.Optional(Type.Array(Type.Object({}))),
      block_device_mapping_v2: Type.Optional(Type.Array(BlockDevice(minor))),
      config_drive: Type.Optional(Nullable(Flag)),
      key_name: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 255 }))),
      min_count: Type.Optional(Count),
      max_count: Type.Optional(Count),
      return_reservation_id: Type.Optional(Flag),
      security_groups: Type.Optional(Type.Array(Type.Object({ name: Type.Optional(Type.String({ maxLength: 255 })) }))),
      user_data: Type.Optional(Nullable(Type.String({ maxLength: 65_535, pattern: '^[A-Za-z0-9+/\\s]*={0,2}\\s*$' }))),
      ...(minor < 57 ? { personality: Type.Optional(Type.Array(Closed({ path: Type.String(), contents: Type.String() }))) } : {}),
      ...(minor >= 19 ? { description: Type.Optional(Description) } : {}),
      ...(minor >= 52 ? { tags: Type.Optional(Tags) } : {}),
      ...(minor >= 63
        ? {
            trusted_image_certificates: Type.Optional(
              Nullable(Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { minItems: 1, maxItems: 50, uniqueItems: true })),
            ),
          }
        : {}),
      ...(minor >= 74 ? { host: Type.Optional(HostName), hypervisor_hostname: Type.Optional(HostName) } : {}),
      ...(minor >= 90
        ? { hostname: Type.Optional(Type.String({ minLength: 2, maxLength: 63, pattern: '^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])$' })) }
        : {}),
    }),
    'os:scheduler_hints': Type.Optional(Hints),
    'OS-SCH-HNT:scheduler_hints': Type.Optional(Hints),
  }),
);

export type CreateServer = {
  readonly server: {
    readonly name: string;
    readonly imageRef?: string | null;
    readonly flavorRef: string | number;
    readonly adminPass?: string;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly networks?: 'none' | 'auto' | readonly { readonly uuid?: string; readonly fixed_ip?: string; readonly port?: string | null }[];
    readonly 'OS-DCF:diskConfig'?: 'AUTO' | 'MANUAL';
    readonly accessIPv4?: string | null;
    readonly accessIPv6?: string | null;
    readonly availability_zone?: string | null;
    readonly block_device_mapping?: readonly object[];
    readonly block_device_mapping_v2?: readonly BlockDevice[];
    readonly config_drive?: boolean | string | null;
    readonly key_name?: string | null;
    readonly min_count?: number | string;
    readonly max_count?: number | string;
    readonly return_reservation_id?: boolean | string;
    readonly security_groups?: readonly { readonly name?: string }[];
    readonly user_data?: string | null;
    readonly personality?: readonly object[];
    readonly description?: string | null;
    readonly tags?: readonly string[];
    readonly trusted_image_certificates?: readonly string[] | null;
    readonly host?: string;
    readonly hypervisor_hostname?: string;
    readonly hostname?: string;
  };
  readonly 'os:scheduler_hints'?: SchedulerHints;
  readonly 'OS-SCH-HNT:scheduler_hints'?: SchedulerHints;
};
export type BlockDevice = Static<ReturnType<typeof BlockDevice>>;
export type SchedulerHints = {
  readonly group?: string;
  readonly same_host?: string | readonly string[];
  readonly different_host?: string | readonly string[];
};

/** What stands behind `rebuild`. 2.54 lets the key change, 2.57 the user data (and takes the files away). */
export const RebuildArguments = perMinor((minor) =>
  Closed({
    imageRef: Type.String({ minLength: 1, maxLength: 255 }),
    name: Type.Optional(Name),
    adminPass: Type.Optional(Type.String({ maxLength: 255 })),
    metadata: Type.Optional(MetadataMap),
    preserve_ephemeral: Type.Optional(Flag),
    'OS-DCF:diskConfig': Type.Optional(DiskConfig),
    accessIPv4: Type.Optional(AccessIp(Ipv4)),
    accessIPv6: Type.Optional(AccessIp(Ipv6)),
    ...(minor < 57 ? { personality: Type.Optional(Type.Array(Closed({ path: Type.String(), contents: Type.String() }))) } : {}),
    ...(minor >= 19 ? { description: Type.Optional(Description) } : {}),
    ...(minor >= 54 ? { key_name: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 255 }))) } : {}),
    ...(minor >= 57
      ? { user_data: Type.Optional(Nullable(Type.String({ maxLength: 65_535, pattern: '^[A-Za-z0-9+/\\s]*={0,2}\\s*$' }))) }
      : {}),
    ...(minor >= 63
      ? {
          trusted_image_certificates: Type.Optional(
            Nullable(Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { minItems: 1, maxItems: 50, uniqueItems: true })),
          ),
        }
      : {}),
    ...(minor >= 90
      ? { hostname: Type.Optional(Type.String({ minLength: 2, maxLength: 63, pattern: '^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])$' })) }
      : {}),
  }),
);
export type RebuildArguments = {
  readonly imageRef: string;
  readonly name?: string;
  readonly adminPass?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly preserve_ephemeral?: boolean | string;
  readonly 'OS-DCF:diskConfig'?: 'AUTO' | 'MANUAL';
  readonly accessIPv4?: string | null;
  readonly accessIPv6?: string | null;
  readonly personality?: readonly object[];
  readonly description?: string | null;
  readonly key_name?: string | null;
  readonly user_data?: string | null;
  readonly trusted_image_certificates?: readonly string[] | null;
  readonly hostname?: string;
};

const ImageMetadata = Type.Record(Type.String({ pattern: MetadataKey }), MetadataValue, { additionalProperties: false });
export const CreateImageArguments = Closed({ name: Name, metadata: Type.Optional(ImageMetadata) });
export type CreateImageArguments = { readonly name: string; readonly metadata?: Readonly<Record<string, string>> };
export const CreateBackupArguments = Closed({
  name: Name,
  backup_type: Type.String({ maxLength: 255 }),
  rotation: Type.Union([Type.Integer({ minimum: 0, maximum: 1_000_000 }), Type.String({ pattern: '^[0-9]{1,6}$' })]),
  metadata: Type.Optional(ImageMetadata),
});
export type CreateBackupArguments = CreateImageArguments & { readonly backup_type: string; readonly rotation: number | string };

export const UpdateServer = perMinor((minor) =>
  Closed({
    server: Closed({
      name: Type.Optional(Name),
      'OS-DCF:diskConfig': Type.Optional(DiskConfig),
      accessIPv4: Type.Optional(AccessIp(Ipv4)),
      accessIPv6: Type.Optional(AccessIp(Ipv6)),
      ...(minor >= 19 ? { description: Type.Optional(Description) } : {}),
      ...(minor >= 90
        ? { hostname: Type.Optional(Type.String({ minLength: 2, maxLength: 63, pattern: '^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])$' })) }
        : {}),
    }),
  }),
);
export type UpdateServer = {
  readonly server: {
    readonly name?: string;
    readonly 'OS-DCF:diskConfig'?: 'AUTO' | 'MANUAL';
    readonly accessIPv4?: string | null;
    readonly accessIPv6?: string | null;
    readonly description?: string | null;
    readonly hostname?: string;
  };
};

export const MetadataBody = Closed({ metadata: MetadataMap });
export type MetadataBody = Static<typeof MetadataBody>;
export const MetadataItemBody = Closed({
  meta: Type.Record(Type.String({ pattern: MetadataKey }), MetadataValue, {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
  }),
});
export type MetadataItemBody = Static<typeof MetadataItemBody>;
export const TagsBody = Closed({ tags: Tags });
export type TagsBody = Static<typeof TagsBody>;
