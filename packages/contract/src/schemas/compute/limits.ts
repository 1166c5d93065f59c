import { Type } from 'typebox';
import { Closed, Links, perMinor } from '../closed.ts';

/** OpenStack compute API v2.1, "Limits", "Quota sets" and "Extensions". 2.36 and 2.57 take away what belongs to networks and to injected files. */
const integers = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, Type.Integer({ minimum: -1 })]));

export const absoluteLimits = (minor: number): readonly string[] => [
  'maxServerMeta',
  'maxTotalInstances',
  'maxTotalCores',
  'maxTotalRAMSize',
  'maxTotalKeypairs',
  'maxServerGroups',
  'maxServerGroupMembers',
  'totalInstancesUsed',
  'totalCoresUsed',
  'totalRAMUsed',
  'totalServerGroupsUsed',
  ...(minor < 36
    ? ['maxSecurityGroups', 'maxSecurityGroupRules', 'maxTotalFloatingIps', 'totalFloatingIpsUsed', 'totalSecurityGroupsUsed']
    : []),
  ...(minor < 39 ? ['maxImageMeta'] : []),
  ...(minor < 57 ? ['maxPersonality', 'maxPersonalitySize'] : []),
];
export const LimitsAnswer = perMinor((minor) =>
  Closed({ limits: Closed({ rate: Type.Array(Type.Object({})), absolute: Closed(integers(absoluteLimits(minor))) }) }),
);

export const quotaNames = (minor: number): readonly string[] => [
  'instances',
  'cores',
  'ram',
  'metadata_items',
  'key_pairs',
  'server_groups',
  'server_group_members',
  ...(minor < 36 ? ['fixed_ips', 'floating_ips', 'security_groups', 'security_group_rules'] : []),
  ...(minor < 57 ? ['injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes'] : []),
];
export const QuotaSetAnswer = perMinor((minor) => Closed({ quota_set: Closed({ id: Type.String(), ...integers(quotaNames(minor)) }) }));
const Detail = Closed({ limit: Type.Integer(), in_use: Type.Integer({ minimum: 0 }), reserved: Type.Integer({ minimum: 0 }) });
export const QuotaSetDetailAnswer = perMinor((minor) =>
  Closed({ quota_set: Closed({ id: Type.String(), ...Object.fromEntries(quotaNames(minor).map((name) => [name, Detail])) }) }),
);

/** The answer of an update has no id. */
export const QuotaSetUpdateAnswer = perMinor((minor) => Closed({ quota_set: Closed(integers(quotaNames(minor))) }));
const Limit = Type.Union([
  Type.Integer({ minimum: -1, maximum: 2_147_483_647 }),
  // Nine digits: what is larger is no limit anybody means, and would not fit.
  Type.String({ pattern: '^(-1|[0-9]{1,9})$' }),
]);
const settable = (minor: number) => Object.fromEntries(quotaNames(minor).map((name) => [name, Type.Optional(Limit)]));
export const UpdateQuotaSet = perMinor((minor) =>
  Closed({
    quota_set: Closed({
      ...settable(minor),
      force: Type.Optional(
        Type.Union([
          Type.Boolean(),
          Type.String({ pattern: '^([Tt]rue|TRUE|1|[Oo]n|ON|[Yy]es|YES|[Ff]alse|FALSE|0|[Oo]ff|OFF|[Nn]o|NO)$' }),
        ]),
      ),
    }),
  }),
);
export type UpdateQuotaSet = { readonly quota_set: Readonly<Record<string, number | string | boolean>> };

/** A class shows its groups' limits from 2.50 on, and no networks' any more. */
export const quotaClassNames = (minor: number): readonly string[] =>
  minor >= 50 ? quotaNames(minor) : quotaNames(1).filter((name) => !name.startsWith('server_group'));
export const QuotaClassAnswer = perMinor((minor) =>
  Closed({ quota_class_set: Closed({ id: Type.String(), ...integers(quotaClassNames(minor)) }) }),
);
export const QuotaClassUpdateAnswer = perMinor((minor) => Closed({ quota_class_set: Closed(integers(quotaClassNames(minor))) }));
export const UpdateQuotaClass = perMinor((minor) => Closed({ quota_class_set: Closed(settable(minor >= 50 ? minor : 1)) }));
export type UpdateQuotaClass = { readonly quota_class_set: Readonly<Record<string, number | string>> };

const Extension = Closed({
  alias: Type.String(),
  name: Type.String(),
  namespace: Type.String(),
  description: Type.String(),
  updated: Type.String(),
  links: Links,
});
export const ExtensionsAnswer = Closed({ extensions: Type.Array(Extension) });
export const ExtensionAnswer = Closed({ extension: Extension });
