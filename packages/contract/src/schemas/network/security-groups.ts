import { type Static, Type } from 'typebox';
import { Closed, Nullable, OneOf, TimeZ, Uuid } from '../closed.ts';

/** Security groups of the network service, v2.0. Source: the OpenStack networking API reference. */
export const SecurityGroupRule = Closed({
  id: Uuid,
  security_group_id: Uuid,
  direction: OneOf('ingress', 'egress'),
  ethertype: OneOf('IPv4', 'IPv6'),
  protocol: Nullable(Type.String()),
  port_range_min: Nullable(Type.Integer()),
  port_range_max: Nullable(Type.Integer()),
  remote_ip_prefix: Nullable(Type.String()),
  remote_group_id: Nullable(Uuid),
  remote_address_group_id: Type.Null(),
  description: Type.String(),
  tenant_id: Type.String(),
  project_id: Type.String(),
  created_at: TimeZ,
  updated_at: TimeZ,
  revision_number: Type.Integer(),
});
export type SecurityGroupRule = Static<typeof SecurityGroupRule>;

export const SecurityGroup = Closed({
  id: Uuid,
  name: Type.String(),
  description: Type.String(),
  stateful: Type.Literal(true),
  shared: Type.Literal(false),
  security_group_rules: Type.Array(SecurityGroupRule),
  tags: Type.Array(Type.String()),
  tenant_id: Type.String(),
  project_id: Type.String(),
  created_at: TimeZ,
  updated_at: TimeZ,
  revision_number: Type.Integer(),
});
export type SecurityGroup = Static<typeof SecurityGroup>;

const some = (schema: { readonly properties: object }) => ({ ...schema, required: [] });
const list = (key: string, item: object) => ({
  type: 'object',
  additionalProperties: false,
  required: [key],
  properties: { [key]: { type: 'array', items: item }, [`${key}_links`]: { type: 'array' } },
});
const body = (key: string, schema: object) => ({
  type: 'object',
  additionalProperties: false,
  required: [key],
  properties: { [key]: schema },
});
export const SecurityGroupList = list('security_groups', some(SecurityGroup));
export const SecurityGroupBody = body('security_group', some(SecurityGroup));
export const SecurityGroupRuleList = list('security_group_rules', some(SecurityGroupRule));
export const SecurityGroupRuleBody = body('security_group_rule', some(SecurityGroupRule));

const text = Type.Optional(Type.String({ maxLength: 255 }));
const project = { project_id: text, tenant_id: text };

export const SecurityGroupCreate = Closed({
  security_group: Closed({ name: text, description: text, stateful: Type.Optional(Type.Literal(true)), ...project }),
});
export type SecurityGroupCreate = Static<typeof SecurityGroupCreate>;
export const SecurityGroupUpdate = Closed({
  security_group: Closed({ name: text, description: text, stateful: Type.Optional(Type.Literal(true)) }),
});
export type SecurityGroupUpdate = Static<typeof SecurityGroupUpdate>;

const port = Type.Optional(Nullable(Type.Integer({ minimum: 0, maximum: 65_535 })));
export const SecurityGroupRuleCreate = Closed({
  security_group_rule: Closed({
    security_group_id: Uuid,
    direction: OneOf('ingress', 'egress'),
    ethertype: Type.Optional(OneOf('IPv4', 'IPv6', 'ipv4', 'ipv6')),
    protocol: Type.Optional(Nullable(Type.Union([Type.String({ maxLength: 40 }), Type.Integer({ minimum: 0, maximum: 255 })]))),
    port_range_min: port,
    port_range_max: port,
    remote_ip_prefix: Type.Optional(Nullable(Type.String({ maxLength: 64 }))),
    remote_group_id: Type.Optional(Nullable(Uuid)),
    remote_address_group_id: Type.Optional(Type.Null()),
    description: text,
    ...project,
  }),
});
export type SecurityGroupRuleCreate = Static<typeof SecurityGroupRuleCreate>;
