import type { SecurityGroupRule } from '@godwit/contract/schemas/network/security-groups';
import type { RuleRow } from '../../networks/security-group-rules.ts';
import { secondTime } from '../time-format.ts';

/** A rule as the network API shows it; it belongs to the project of its group. */
export const ruleView = (row: RuleRow, projectId: string): SecurityGroupRule => ({
  id: row.id,
  security_group_id: row.security_group_id,
  direction: row.direction,
  ethertype: row.ip_version === 4 ? 'IPv4' : 'IPv6',
  protocol: row.protocol,
  port_range_min: row.port_min,
  port_range_max: row.port_max,
  remote_ip_prefix: row.remote_prefix,
  remote_group_id: row.remote_group_id,
  remote_address_group_id: null,
  description: row.description,
  tenant_id: projectId,
  project_id: projectId,
  created_at: secondTime(row.created_at),
  updated_at: secondTime(row.created_at),
  revision_number: 0,
});
