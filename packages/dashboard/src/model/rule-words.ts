import type { SecurityGroupRule } from '../api/security-groups.ts';

type Rule = Pick<
  SecurityGroupRule,
  'direction' | 'ethertype' | 'protocol' | 'port_range_min' | 'port_range_max' | 'remote_ip_prefix' | 'remote_group_id'
>;

/** What a rule lets through, in one line: `in: TCP 22 from 10.0.0.0/8`, `out: everything to anywhere (IPv6)`, `in: everything from members of web (IPv4)`. Names of groups by their ids. */
export function ruleWords(rule: Rule, groupNames: ReadonlyMap<string, string>): string {
  const incoming = rule.direction === 'ingress';
  const remote =
    rule.remote_group_id !== null
      ? `members of ${groupNames.get(rule.remote_group_id) ?? 'another project’s group'} (${rule.ethertype})`
      : (rule.remote_ip_prefix ?? `anywhere (${rule.ethertype})`);
  return `${incoming ? 'in' : 'out'}: ${what(rule)} ${incoming ? 'from' : 'to'} ${remote}`;
}

function what({ protocol, port_range_min: first, port_range_max: last }: Rule): string {
  if (protocol === null) return 'everything';
  const name = /^\d+$/.test(protocol) ? `protocol ${protocol}` : protocol.toUpperCase();
  if (first === null && last === null) return name;
  // Of ICMP the two are a type and a code.
  if (/^(ipv6-)?icmp/i.test(protocol)) return `${name} type ${first ?? 'any'}${last === null ? '' : ` code ${last}`}`;
  return first === last || last === null ? `${name} ${first}` : `${name} ${first}–${last}`;
}
