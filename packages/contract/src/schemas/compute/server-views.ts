import { Type } from 'typebox';
import { Closed, Links, Nullable, OneOf, perMinor, perMinorAndRole, TimeMicros, TimeZ, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Servers": what is shown of a server, closed per microversion and for who asks. */
const Address = Closed({
  version: Type.Union([Type.Literal(4), Type.Literal(6)]),
  addr: Type.String(),
  'OS-EXT-IPS:type': OneOf('fixed', 'floating'),
  'OS-EXT-IPS-MAC:mac_addr': Type.String(),
});
const Image = Type.Union([Closed({ id: Uuid, links: Links }), Type.Literal('')]);
const Fault = Closed({ code: Type.Integer(), created: TimeZ, message: Type.String(), details: Type.Optional(Type.String()) });

const Flavor = (minor: number) =>
  minor < 47
    ? Closed({ id: Type.String(), links: Links })
    : Closed({
        vcpus: Type.Integer(),
        ram: Type.Integer(),
        disk: Type.Integer(),
        ephemeral: Type.Integer(),
        swap: Type.Integer(),
        original_name: Type.String(),
        extra_specs: Type.Record(Type.String(), Type.String()),
      });

/** What every full view has, PUT's below 2.75 included. */
const base = (minor: number) => ({
  id: Uuid,
  name: Type.String(),
  status: Type.String(),
  tenant_id: Type.String(),
  user_id: Type.String(),
  metadata: Type.Record(Type.String(), Type.String()),
  hostId: Type.String(),
  image: Image,
  flavor: Flavor(minor),
  created: TimeZ,
  updated: TimeZ,
  addresses: Type.Record(Type.String(), Type.Array(Address)),
  accessIPv4: Type.String(),
  accessIPv6: Type.String(),
  links: Links,
  'OS-DCF:diskConfig': OneOf('AUTO', 'MANUAL'),
  progress: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
  fault: Type.Optional(Fault),
  ...(minor >= 9 ? { locked: Type.Boolean() } : {}),
  ...(minor >= 19 ? { description: Nullable(Type.String()) } : {}),
  ...(minor >= 26 ? { tags: Type.Array(Type.String()) } : {}),
  ...(minor >= 63 ? { trusted_image_certificates: Type.Null() } : {}),
  ...(minor >= 73 ? { locked_reason: Nullable(Type.String()) } : {}),
  ...(minor >= 90 ? { 'OS-EXT-SRV-ATTR:hostname': Type.String() } : {}),
});

const more = (minor: number, isAdmin: boolean) => ({
  'OS-EXT-AZ:availability_zone': Type.String(),
  config_drive: OneOf('', 'True'),
  key_name: Nullable(Type.String()),
  'OS-SRV-USG:launched_at': Nullable(TimeMicros),
  'OS-SRV-USG:terminated_at': Nullable(TimeMicros),
  security_groups: Type.Array(Closed({ name: Type.String() })),
  'OS-EXT-STS:task_state': Nullable(Type.String()),
  'OS-EXT-STS:vm_state': Type.String(),
  'OS-EXT-STS:power_state': Type.Integer(),
  'os-extended-volumes:volumes_attached': Type.Array(
    Closed({ id: Type.String(), ...(minor >= 3 ? { delete_on_termination: Type.Boolean() } : {}) }),
  ),
  ...(isAdmin
    ? {
        'OS-EXT-SRV-ATTR:host': Nullable(Type.String()),
        'OS-EXT-SRV-ATTR:hypervisor_hostname': Nullable(Type.String()),
        'OS-EXT-SRV-ATTR:instance_name': Type.String(),
      }
    : {}),
  ...(isAdmin && minor >= 3
    ? {
        'OS-EXT-SRV-ATTR:hostname': Type.String(),
        'OS-EXT-SRV-ATTR:kernel_id': Type.String(),
        'OS-EXT-SRV-ATTR:launch_index': Type.Integer(),
        'OS-EXT-SRV-ATTR:ramdisk_id': Type.String(),
        'OS-EXT-SRV-ATTR:reservation_id': Type.String(),
        'OS-EXT-SRV-ATTR:root_device_name': Nullable(Type.String()),
        'OS-EXT-SRV-ATTR:user_data': Nullable(Type.String()),
      }
    : {}),
  ...(isAdmin && minor >= 16 ? { host_status: OneOf('UP', 'DOWN', 'MAINTENANCE', 'UNKNOWN', '') } : {}),
});

const groups = (minor: number) => (minor >= 71 ? { server_groups: Type.Array(Uuid) } : {});

export const ServerAnswer = perMinorAndRole((minor, isAdmin) =>
  Closed({ server: Closed({ ...base(minor), ...more(minor, isAdmin), ...groups(minor) }) }),
);
export const ServerDetailAnswer = perMinorAndRole((minor, isAdmin) =>
  Closed({ servers: Type.Array(Closed({ ...base(minor), ...more(minor, isAdmin) })), servers_links: Type.Optional(Links) }),
);
/** Below 2.75 the answer of an update lacks what `more` adds. */
export const ServerUpdateAnswer = perMinorAndRole((minor, isAdmin) =>
  Closed({ server: Closed({ ...base(minor), ...(minor >= 75 ? more(minor, isAdmin) : {}), ...groups(minor) }) }),
);
/** The server that is rebuilt, its password, and from 2.54 and 2.57 on what could be changed with it. */
export const RebuildAnswer = perMinorAndRole((minor, isAdmin) =>
  Closed({
    server: Closed({
      ...base(minor),
      ...(minor >= 75 ? more(minor, isAdmin) : {}),
      ...groups(minor),
      adminPass: Type.String(),
      ...(minor >= 54 ? { key_name: Nullable(Type.String()) } : {}),
      ...(minor >= 57 ? { user_data: Nullable(Type.String()) } : {}),
    }),
  }),
);
export const ServerListAnswer = perMinor(() =>
  Closed({ servers: Type.Array(Closed({ id: Uuid, name: Type.String(), links: Links })), servers_links: Type.Optional(Links) }),
);
export const ServerCreateAnswer = Type.Union([
  Closed({
    server: Closed({
      id: Uuid,
      links: Links,
      'OS-DCF:diskConfig': OneOf('AUTO', 'MANUAL'),
      security_groups: Type.Array(Closed({ name: Type.String() })),
      adminPass: Type.String(),
    }),
  }),
  Closed({ reservation_id: Type.String() }),
]);
export const MetadataAnswer = Closed({ metadata: Type.Record(Type.String(), Type.String()) });
export const MetadataItemAnswer = Closed({ meta: Type.Record(Type.String(), Type.String(), { minProperties: 1, maxProperties: 1 }) });
export const TagsAnswer = Closed({ tags: Type.Array(Type.String()) });
export const AddressesAnswer = Closed({
  addresses: Type.Record(Type.String(), Type.Array(Closed({ version: Type.Integer(), addr: Type.String() }))),
});
export const NetworkAddressesAnswer = Type.Record(Type.String(), Type.Array(Closed({ version: Type.Integer(), addr: Type.String() })));
export const VolumeAttachmentsAnswer = Closed({ volumeAttachments: Type.Array(Type.Object({})) });
