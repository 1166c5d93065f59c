import { vlanIds } from '@godwit/domain/guest-spec';
import { type Static, Type } from 'typebox';
import { Closed, Nullable, OneOf, TimeZ, Uuid } from '../closed.ts';

/** The network service's v2.0 resources. Source: the OpenStack networking API reference, v2.0. */
const owned = {
  id: Uuid,
  name: Type.String(),
  description: Type.String(),
  tenant_id: Type.String(),
  project_id: Type.String(),
  created_at: TimeZ,
  updated_at: TimeZ,
  tags: Type.Array(Type.String()),
};

export const Network = Closed({
  ...owned,
  status: Type.Literal('ACTIVE'),
  admin_state_up: Type.Boolean(),
  shared: Type.Boolean(),
  subnets: Type.Array(Uuid),
  mtu: Type.Integer(),
  port_security_enabled: Type.Boolean(),
  'router:external': Type.Literal(false),
  // Admin only.
  'provider:network_type': Type.Optional(OneOf('flat', 'vlan')),
  'provider:physical_network': Type.Optional(Nullable(Type.String())),
  'provider:segmentation_id': Type.Optional(Nullable(Type.Integer())),
});
export type Network = Static<typeof Network>;

export const Subnet = Closed({
  ...owned,
  network_id: Uuid,
  ip_version: OneOf4or6(),
  cidr: Type.String(),
  gateway_ip: Nullable(Type.String()),
  allocation_pools: Type.Array(Closed({ start: Type.String(), end: Type.String() })),
  enable_dhcp: Type.Boolean(),
  dns_nameservers: Type.Array(Type.String()),
  host_routes: Type.Array(Type.Unknown(), { maxItems: 0 }),
  ipv6_ra_mode: Type.Null(),
  ipv6_address_mode: Type.Null(),
  subnetpool_id: Type.Null(),
});
export type Subnet = Static<typeof Subnet>;

export const Port = Closed({
  ...owned,
  network_id: Uuid,
  mac_address: Type.String({ pattern: '^([0-9a-f]{2}:){5}[0-9a-f]{2}$' }),
  fixed_ips: Type.Array(Closed({ subnet_id: Uuid, ip_address: Type.String() })),
  status: OneOf('ACTIVE', 'DOWN'),
  admin_state_up: Type.Boolean(),
  device_id: Type.String(),
  device_owner: Type.String(),
  security_groups: Type.Array(Uuid),
  port_security_enabled: Type.Boolean(),
  allowed_address_pairs: Type.Array(Closed({ ip_address: Type.String(), mac_address: Type.String() })),
  'binding:vnic_type': Type.Literal('normal'),
  // Admin only.
  'binding:host_id': Type.Optional(Type.String()),
});
export type Port = Static<typeof Port>;

/** With `?fields=` only some attributes come back. */
const some = (schema: { readonly properties: object }) => ({ ...schema, required: [] });
const list = (key: string, item: object) => ({
  type: 'object',
  additionalProperties: false,
  required: [key],
  properties: { [key]: { type: 'array', items: item }, [`${key}_links`]: { type: 'array' } },
});
export const NetworkList = list('networks', some(Network));
export const SubnetList = list('subnets', some(Subnet));
export const PortList = list('ports', some(Port));
export const NetworkBody = { type: 'object', additionalProperties: false, required: ['network'], properties: { network: some(Network) } };
export const SubnetBody = { type: 'object', additionalProperties: false, required: ['subnet'], properties: { subnet: some(Subnet) } };
export const PortBody = { type: 'object', additionalProperties: false, required: ['port'], properties: { port: some(Port) } };

const name = Type.Optional(Type.String({ maxLength: 255 }));
const description = Type.Optional(Type.String({ maxLength: 255 }));
const project = { project_id: Type.Optional(Type.String({ maxLength: 255 })), tenant_id: Type.Optional(Type.String({ maxLength: 255 })) };
const optionalFlag = Type.Optional(Type.Boolean());
const mtu = Type.Optional(Type.Integer({ minimum: 1280, maximum: 65_535 }));
/** The name of a bridge on the hosts (Linux: at most 15 characters). */
const bridge = Type.Optional(Nullable(Type.String({ pattern: '^[A-Za-z0-9._-]{1,15}$' })));

export const NetworkCreate = Closed({
  network: Closed({
    name,
    description,
    ...project,
    admin_state_up: optionalFlag,
    shared: optionalFlag,
    mtu,
    'router:external': Type.Optional(Type.Literal(false)),
    'provider:network_type': Type.Optional(OneOf('flat', 'vlan')),
    'provider:physical_network': bridge,
    'provider:segmentation_id': Type.Optional(Nullable(Type.Integer({ minimum: vlanIds.first, maximum: vlanIds.last }))),
    port_security_enabled: Type.Optional(Type.Boolean()),
    is_default: Type.Optional(Type.Literal(false)),
    availability_zone_hints: Type.Optional(Type.Array(Type.String(), { maxItems: 0 })),
  }),
});
export type NetworkCreate = Static<typeof NetworkCreate>;
export const NetworkUpdate = Closed({
  network: Closed({ name, description, admin_state_up: optionalFlag, shared: optionalFlag, mtu, port_security_enabled: optionalFlag }),
});
export type NetworkUpdate = Static<typeof NetworkUpdate>;

const address = Type.String({ maxLength: 64 });
const macPattern = Type.String({ pattern: '^([0-9a-fA-F][02468aceACE])(:[0-9a-fA-F]{2}){5}$' });
const dns = Type.Optional(Type.Array(address, { maxItems: 8 }));
export const SubnetCreate = Closed({
  subnet: Closed({
    network_id: Uuid,
    cidr: address,
    ip_version: Type.Optional(OneOf4or6()),
    name,
    description,
    ...project,
    gateway_ip: Type.Optional(Nullable(address)),
    enable_dhcp: optionalFlag,
    dns_nameservers: dns,
    allocation_pools: Type.Optional(Type.Array(Closed({ start: address, end: address }), { maxItems: 16 })),
    host_routes: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 0 })),
    subnetpool_id: Type.Optional(Type.Null()),
    ipv6_ra_mode: Type.Optional(Type.Null()),
    ipv6_address_mode: Type.Optional(Type.Null()),
    service_types: Type.Optional(Type.Array(Type.String(), { maxItems: 0 })),
  }),
});
export type SubnetCreate = Static<typeof SubnetCreate>;
export const SubnetUpdate = Closed({ subnet: Closed({ name, description, enable_dhcp: optionalFlag, dns_nameservers: dns }) });
export type SubnetUpdate = Static<typeof SubnetUpdate>;

const fixedIps = Type.Optional(
  Type.Array(Closed({ subnet_id: Type.Optional(Uuid), ip_address: Type.Optional(address) }), { maxItems: 16 }),
);
const security = {
  security_groups: Type.Optional(Type.Array(Uuid, { maxItems: 64 })),
  port_security_enabled: Type.Optional(Type.Boolean()),
  allowed_address_pairs: Type.Optional(
    Type.Array(Closed({ ip_address: address, mac_address: Type.Optional(macPattern) }), { maxItems: 10 }),
  ),
};

export const PortCreate = Closed({
  port: Closed({
    network_id: Uuid,
    name,
    description,
    ...project,
    admin_state_up: optionalFlag,
    mac_address: Type.Optional(macPattern),
    fixed_ips: fixedIps,
    'binding:vnic_type': Type.Optional(Type.Literal('normal')),
    device_id: Type.Optional(Type.Literal('')),
    device_owner: Type.Optional(Type.Literal('')),
    ...security,
  }),
});
export type PortCreate = Static<typeof PortCreate>;
export const PortUpdate = Closed({
  port: Closed({ name, description, admin_state_up: optionalFlag, fixed_ips: fixedIps, ...security }),
});
export type PortUpdate = Static<typeof PortUpdate>;

export const ExtensionList = Closed({ extensions: Type.Array(extension()) });
export const ExtensionBody = Closed({ extension: extension() });

function extension() {
  return Closed({
    alias: Type.String(),
    name: Type.String(),
    description: Type.String(),
    updated: Type.String(),
    links: Type.Array(Type.Unknown(), { maxItems: 0 }),
  });
}

function OneOf4or6() {
  return Type.Unsafe<4 | 6>({ type: 'integer', enum: [4, 6] });
}
