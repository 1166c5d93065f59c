import { GodwitError } from '@godwit/domain/errors';
import { type ActionRule, actionRules, isAllowed, policyMessage } from '@godwit/domain/server-states';

/**
 * Who may do what, beyond the actions on one server (those are `actionRules` of domain/server-states). Rule names are the ones a 403 tells;
 * sources: the policy reference of the OpenStack compute and identity services, 26th release.
 * `anyone`: whoever holds a token of a project; `reader`, `member`: that role in the project; `admin`.
 */
export type Who = 'anyone' | ActionRule['who'];

const compute = {
  'servers:index': 'reader',
  'servers:index:get_all_tenants': 'admin',
  'servers:detail': 'reader',
  'servers:detail:get_all_tenants': 'admin',
  'servers:create': 'member',
  'servers:create:forced_host': 'admin',
  'compute:servers:create:requested_destination': 'admin',
  'servers:allow_all_filters': 'admin',
  'os-lock-server:unlock:unlock_override': 'admin',
  'servers:migrations:index': 'admin',
  'servers:migrations:show': 'admin',
  'os-migrations:index': 'admin',
  'os-instance-actions:list': 'reader',
  'os-instance-actions:show': 'reader',
  'os-instance-actions:events': 'admin',
  'os-attach-interfaces:list': 'reader',
  'os-attach-interfaces:show': 'reader',
  'os-assisted-volume-snapshots:create': 'admin',
  'os-assisted-volume-snapshots:delete': 'admin',
  'os-baremetal-nodes:list': 'admin',
  'os-baremetal-nodes:show': 'admin',
  'os-console-auth-tokens': 'admin',
  'os-floating-ips:list': 'reader',
  'os-floating-ips:create': 'member',
  'os-floating-ips:delete': 'member',
  'os-floating-ips:add': 'member',
  'os-floating-ips:remove': 'member',
  'os-multinic:add': 'member',
  'os-multinic:remove': 'member',
  'os-networks:list': 'reader',
  'os-security-groups:list': 'reader',
  'os-security-groups:get': 'reader',
  'os-security-groups:show': 'reader',
  'os-security-groups:create': 'member',
  'os-security-groups:update': 'member',
  'os-security-groups:delete': 'member',
  'os-security-groups:rule:create': 'member',
  'os-security-groups:rule:delete': 'member',
  'os-security-groups:add': 'member',
  'os-security-groups:remove': 'member',
  'os-shelve:unshelve_to_host': 'admin',
  'os-server-external-events:create': 'admin',
  'os-tenant-networks:list': 'reader',
  'os-volumes-attachments:show': 'reader',
  'os-volumes-attachments:create': 'member',
  'os-volumes-attachments:update': 'member',
  'os-volumes-attachments:delete': 'member',
  'os-flavor-manage:create': 'admin',
  'os-flavor-manage:update': 'admin',
  'os-flavor-manage:delete': 'admin',
  'os-flavor-access': 'admin',
  'os-flavor-access:add_tenant_access': 'admin',
  'os-flavor-access:remove_tenant_access': 'admin',
  'os-flavor-extra-specs:create': 'admin',
  'os-flavor-extra-specs:update': 'admin',
  'os-flavor-extra-specs:delete': 'admin',
  'os-keypairs:index': 'anyone',
  'os-keypairs:create': 'anyone',
  'os-keypairs:delete': 'anyone',
  'os-keypairs:show': 'anyone',
  limits: 'anyone',
  'limits:other_project': 'admin',
  'os-quota-sets:show': 'reader',
  'os-quota-sets:defaults': 'anyone',
  'os-quota-sets:detail': 'reader',
  'os-quota-sets:update': 'admin',
  'os-quota-sets:delete': 'admin',
  'os-quota-class-sets:show': 'admin',
  'os-quota-class-sets:update': 'admin',
  'os-simple-tenant-usage:list': 'admin',
  'os-simple-tenant-usage:show': 'reader',
  'os-instance-usage-audit-log:list': 'admin',
  'os-instance-usage-audit-log:show': 'admin',
  'os-server-groups:index': 'reader',
  'os-server-groups:index:all_projects': 'admin',
  'os-server-groups:show': 'reader',
  'os-server-groups:create': 'member',
  'os-server-groups:delete': 'member',
  'os-hypervisors:list': 'admin',
  'os-hypervisors:list-detail': 'admin',
  'os-hypervisors:show': 'admin',
  'os-hypervisors:statistics': 'admin',
  'os-hypervisors:uptime': 'admin',
  'os-hypervisors:search': 'admin',
  'os-hypervisors:servers': 'admin',
  'os-services:list': 'admin',
  'os-services:update': 'admin',
  'os-services:delete': 'admin',
  'os-aggregates:index': 'admin',
  'os-aggregates:show': 'admin',
  'os-aggregates:create': 'admin',
  'os-aggregates:update': 'admin',
  'os-aggregates:delete': 'admin',
  'os-aggregates:add_host': 'admin',
  'os-aggregates:remove_host': 'admin',
  'os-aggregates:set_metadata': 'admin',
  'os-availability-zone:list': 'anyone',
  'os-availability-zone:detail': 'admin',
  'os-hosts:list': 'admin',
  'os-hosts:show': 'admin',
  'os-hosts:update': 'admin',
} as const satisfies Readonly<Record<string, Who>>;

export type PolicyRule = keyof typeof compute;

/** Who asks, as far as a policy cares. */
export type PolicyCaller = { readonly projectId: string; readonly roles: readonly string[]; readonly isAdmin: boolean };

/** May this caller, by this rule? A caller without a project may nothing here. */
export function allows(caller: PolicyCaller, rule: PolicyRule): boolean {
  if (caller.isAdmin) return true;
  const who: Who = compute[rule];
  return caller.projectId !== '' && (who === 'anyone' || isAllowed(who, caller));
}

/** Throws `Forbidden` with the API's sentence. */
export function assertAllowed(caller: PolicyCaller, rule: PolicyRule): void {
  if (!allows(caller, rule)) throw new GodwitError('Forbidden', policyMessage(fullName(rule)));
}

const fullName = (rule: PolicyRule): string => (rule.startsWith('compute:') ? rule : `os_compute_api:${rule}`);

/** Every rule of the compute API with who it takes: the table of the documentation and of the tests. */
export const policyTable: readonly { readonly rule: string; readonly who: Who }[] = [
  ...Object.entries(compute).map(([rule, who]) => ({ rule: fullName(rule as PolicyRule), who })),
  ...Object.values(actionRules).map(({ policy, who }) => ({ rule: policy, who })),
];
