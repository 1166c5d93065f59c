import type { SecurityGroup, SecurityGroupRule } from '@godwit/contract/schemas/network/security-groups';
import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

export type { SecurityGroup, SecurityGroupRule };

/** Those of the project; of every project for admins. */
export const securityGroupList = (api: Api) =>
  queryOptions({
    queryKey: ['security-group', 'list'],
    queryFn: async () =>
      (await api.get<{ readonly security_groups: readonly SecurityGroup[] }>('/network/v2.0/security-groups')).security_groups,
  });

export async function createSecurityGroup(api: Api, group: { readonly name: string; readonly description?: string }): Promise<void> {
  await api.send('POST', '/network/v2.0/security-groups', { security_group: group });
}
export async function deleteSecurityGroup(api: Api, id: string): Promise<void> {
  await api.send('DELETE', `/network/v2.0/security-groups/${id}`);
}

export type NewRule = Pick<SecurityGroupRule, 'security_group_id' | 'direction' | 'ethertype'> &
  Partial<Pick<SecurityGroupRule, 'protocol' | 'port_range_min' | 'port_range_max' | 'remote_ip_prefix' | 'remote_group_id'>>;
export async function addSecurityGroupRule(api: Api, rule: NewRule): Promise<void> {
  await api.send('POST', '/network/v2.0/security-group-rules', { security_group_rule: rule });
}
export async function deleteSecurityGroupRule(api: Api, id: string): Promise<void> {
  await api.send('DELETE', `/network/v2.0/security-group-rules/${id}`);
}
