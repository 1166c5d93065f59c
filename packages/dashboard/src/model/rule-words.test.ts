import { expect, it } from 'vitest';
import { ruleWords } from './rule-words.ts';

const rule = {
  direction: 'ingress',
  ethertype: 'IPv4',
  protocol: null,
  port_range_min: null,
  port_range_max: null,
  remote_ip_prefix: null,
  remote_group_id: null,
} as const;
const names = new Map([['g1', 'web']]);

it('says what a rule lets through', () => {
  expect(ruleWords({ ...rule, direction: 'egress', ethertype: 'IPv6' }, names)).toBe('out: everything to anywhere (IPv6)');
  expect(ruleWords({ ...rule, protocol: 'tcp', port_range_min: 22, port_range_max: 22, remote_ip_prefix: '10.0.0.0/8' }, names)).toBe(
    'in: TCP 22 from 10.0.0.0/8',
  );
  expect(ruleWords({ ...rule, protocol: 'udp', port_range_min: 1, port_range_max: 9, remote_group_id: 'g1' }, names)).toBe(
    'in: UDP 1–9 from members of web (IPv4)',
  );
  expect(ruleWords({ ...rule, protocol: 'icmp', port_range_min: 8 }, names)).toBe('in: ICMP type 8 from anywhere (IPv4)');
  expect(ruleWords({ ...rule, protocol: '47', remote_group_id: 'gone' }, names)).toBe(
    'in: protocol 47 from members of another project’s group (IPv4)',
  );
});
