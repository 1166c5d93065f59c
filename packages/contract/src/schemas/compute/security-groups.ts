import { type Static, Type } from 'typebox';
import { Closed, Nullable, Uuid } from '../closed.ts';

/** The compute API's proxy of the network service's security groups, up to 2.35 (a server's own groups: always). Source: compute API reference, os-security-groups. */
const Rule = Closed({
  id: Uuid,
  parent_group_id: Uuid,
  ip_protocol: Nullable(Type.String()),
  from_port: Nullable(Type.Integer()),
  to_port: Nullable(Type.Integer()),
  ip_range: Type.Union([Closed({ cidr: Type.String() }), Closed({})]),
  group: Type.Union([Closed({ name: Type.String(), tenant_id: Type.String() }), Closed({})]),
});
const Group = Closed({ id: Uuid, name: Type.String(), description: Type.String(), tenant_id: Type.String(), rules: Type.Array(Rule) });
export const SecurityGroupsAnswer = Closed({ security_groups: Type.Array(Group) });
export const SecurityGroupAnswer = Closed({ security_group: Group });
export const SecurityGroupRuleAnswer = Closed({ security_group_rule: Rule });

const text = Type.String({ maxLength: 255 });
const name = Type.String({ minLength: 1, maxLength: 255 });
export const WriteSecurityGroup = Closed({ security_group: Closed({ name, description: Type.Optional(Nullable(text)) }) });
export type WriteSecurityGroup = Static<typeof WriteSecurityGroup>;

const number = Type.Union([Type.Integer({ minimum: -1, maximum: 65_535 }), Type.String({ pattern: '^-?\\d{1,5}$' })]);
export const CreateSecurityGroupRule = Closed({
  security_group_rule: Closed({
    parent_group_id: Uuid,
    ip_protocol: Type.Optional(Nullable(Type.String({ maxLength: 40 }))),
    from_port: Type.Optional(Nullable(number)),
    to_port: Type.Optional(Nullable(number)),
    cidr: Type.Optional(Nullable(Type.String({ maxLength: 64 }))),
    group_id: Type.Optional(Nullable(Uuid)),
  }),
});
export type CreateSecurityGroupRule = Static<typeof CreateSecurityGroupRule>;
