import { protocolNumbers } from '@godwit/domain/network-policy';

/** Protocols that a rule may name (OpenStack networking API, security group rules), with IANA's numbers. */
const numbers: Readonly<Record<string, number>> = {
  ah: 51,
  dccp: 33,
  egp: 8,
  esp: 50,
  gre: 47,
  icmp: 1,
  icmpv6: 58,
  igmp: 2,
  ipip: 4,
  'ipv6-encap': 41,
  'ipv6-frag': 44,
  'ipv6-icmp': 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  'ipv6-route': 43,
  ospf: 89,
  pgm: 113,
  rsvp: 46,
  sctp: 132,
  tcp: 6,
  udp: 17,
  udplite: 136,
  vrrp: 112,
};

/** The number of a rule's protocol, by name or number, for this IP version (`icmp` of IPv6 is ICMPv6); null for what is none. */
export function protocolNumber(protocol: string, ipVersion: 4 | 6): number | null {
  const name = protocol.toLowerCase();
  const number = Object.hasOwn(numbers, name) ? numbers[name] : /^\d{1,3}$/.test(name) ? Number(name) : undefined;
  if (number === undefined || number > 255) return null;
  return number === protocolNumbers.icmp && ipVersion === 6 ? protocolNumbers.icmpV6 : number;
}
