import { type PortPolicy, portProtocols, protocolNumbers, type SecurityRule } from '@godwit/domain/network-policy';

/*
 * Security groups as nftables rules of the bridge family: one table, and per tap two chains that a map of interface names jumps to, so that a frame costs two look-ups however many guests
 * a host has. A chain ends in `return` for what passes (the frame may then enter another guest's tap, and its rules) and in `drop`.
 *
 * Replies pass because flows are remembered in sets of our own, one for what the guest began (`o`) and one for what others began (`i`), with the guest's end first. Not by the
 * kernel's connection tracking: for bridges that is a module which not every kernel has, it keeps one table for all networks although their addresses may overlap, and what it knows cannot
 * be taken to another host. These sets can: a move carries them (flows.ts), so that the destination's tap knows the guest's connections before the guest runs there. A packet in the
 * allowed direction enters a flow anew at any time, in the middle of a connection too. Sequence numbers are not looked at; a flow that ends (FIN, RST) moves to a short-lived set (`c`).
 * ICMP echo and protocols without ports are remembered by the two addresses (`op`, `ip`); ICMP's errors always pass, fragments behind the first pass (without it they are worth nothing).
 */

export const table = 'bridge godwit';

/** Flows of each kind that a port is remembered for; the oldest time out first, and one that finds no room passes but has no replies. */
const flowLimit = 16_384;
/** As long as Linux keeps an established connection that says nothing. */
const establishedTimeout = '5d';
const openingTimeout = '2m';
const closingTimeout = '2m';
const datagramTimeout = '3m';
const pairTimeout = '1m';

const versions = [4, 6] as const;
type Version = (typeof versions)[number];
type Way = 'from' | 'to';
type Beginner = 'o' | 'i';

/** Sets of a tap that hold flows: their names behind the tap's. */
export const flowSets = versions.flatMap((version) =>
  (['o', 'i', 'op', 'ip'] as const).map((kind) => ({ kind, version, suffix: `${kind}${version}` })),
);

/** Guests' taps, whether they are filtered or not (tap.ts). */
const anyTap = 'gt*';
/**
 * Frames with a tag, whichever way: a network reaches its guests without one. A guest's own would be another VLAN's frame wherever the outer one is taken off (the uplink's untagged one, the switch behind a
 * bridge that does not look at tags). 0x9100 is what some switches take for a tag as well.
 */
const tagged = 'ether type { 8021q, 8021ad, 0x9100 }';

/** What every host has once: the hooks, and the maps that lead to the taps' chains. Repeating it changes nothing. */
export const baseLines: readonly string[] = [
  `add table ${table}`,
  `add map ${table} from_guest { type ifname : verdict; }`,
  `add map ${table} to_guest { type ifname : verdict; }`,
  ...(
    [
      // Before the bridge gives a guest's frame its VLAN, and learns from it: behind that the rules would see a tag where they look for IP.
      ['prerouting', [`iifname "${anyTap}" ${tagged} drop`, 'iifname vmap @from_guest']],
      // Behind where the bridge has taken the tag off again.
      ['forward', [`oifname "${anyTap}" ${tagged} drop`, 'oifname vmap @to_guest']],
      // What goes to the bridges themselves (IEEE 802.1Q, table 8-1) does not come by `prerouting`; all else has, and is of its VLAN by now.
      ['input', ['ether daddr 01:80:c2:00:00:00-01:80:c2:00:00:0f iifname vmap @from_guest']],
      ['output', [`oifname "${anyTap}" ${tagged} drop`, 'oifname vmap @to_guest']],
    ] as const
  ).flatMap(([hook, rules]) => [
    `add chain ${table} ${hook} { type filter hook ${hook} priority 0; policy accept; }`,
    `flush chain ${table} ${hook}`,
    ...rules.map((rule) => `add rule ${table} ${hook} ${rule}`),
  ]),
];

/** A security group's addresses, for rules that name it as their remote side. */
export const groupLines = (groupId: string, addresses: readonly string[]): readonly string[] =>
  versions.flatMap((version) => {
    const name = groupSet(groupId, version);
    const ofVersion = addresses.filter((address) => versionOf(address) === version);
    return [
      `add set ${table} ${name} { type ipv${version}_addr; flags interval; auto-merge; }`,
      `flush set ${table} ${name}`,
      ...(ofVersion.length === 0 ? [] : [`add element ${table} ${name} { ${ofVersion.join(', ')} }`]),
    ];
  });

export const removeGroupLines = (groupId: string): readonly string[] =>
  versions.map((version) => `delete set ${table} ${groupSet(groupId, version)}`);

/** All of a tap's rules, in place of those it had; the flows it has are kept. For a policy with `rules`. */
export function tapLines(tap: string, policy: PortPolicy & { readonly rules: readonly SecurityRule[] }): readonly string[] {
  const chain = (name: string, rules: readonly string[]): readonly string[] => [
    `flush chain ${table} ${tap}${name}`,
    ...rules.map((rule) => `add rule ${table} ${tap}${name} ${rule}`),
  ];
  return [
    ...flowSets.map(({ kind, version, suffix }) =>
      flowSet(`${tap}${suffix}`, kind.length === 1 ? tupleType(version) : `inet_proto . ipv${version}_addr . ipv${version}_addr`),
    ),
    ...versions.map((version) => flowSet(`${tap}c${version}`, tupleType(version))),
    ...chains.map((name) => `add chain ${table} ${tap}${name}`),
    ...(['o', 'i'] as const).flatMap((beginner) =>
      (['from', 'to'] as const).flatMap((way) => chain(`_${beginner}_${way}`, rememberRules(tap, beginner, way))),
    ),
    // A port that is down keeps the flows it has: they go on when it is up again, unless they have timed out.
    ...chain(
      '_from',
      policy.down
        ? ['drop']
        : [...sourceRules(policy.sources), ...commonRules, ...knownRules(tap, 'from'), ...allowRules(tap, policy.rules, 'egress'), 'drop'],
    ),
    ...chain(
      '_to',
      policy.down
        ? ['drop']
        : [...arrivalRules, ...commonRules, ...knownRules(tap, 'to'), ...allowRules(tap, policy.rules, 'ingress'), 'drop'],
    ),
    `add element ${table} from_guest { "${tap}" : jump ${tap}_from }`,
    `add element ${table} to_guest { "${tap}" : jump ${tap}_to }`,
  ];
}

/** Takes away what `tapLines` made. */
export const removeTapLines = (tap: string): readonly string[] => [
  `delete element ${table} from_guest { "${tap}" }`,
  `delete element ${table} to_guest { "${tap}" }`,
  ...chains.map((name) => `flush chain ${table} ${tap}${name}`),
  ...chains.map((name) => `delete chain ${table} ${tap}${name}`),
  ...[...flowSets.map(({ suffix }) => suffix), ...versions.map((version) => `c${version}`)].map(
    (suffix) => `delete set ${table} ${tap}${suffix}`,
  ),
];

const chains = ['_from', '_to', '_o_from', '_o_to', '_i_from', '_i_to'];

/** Frames that a guest may send at all: as itself, and not as a router or a DHCP server. */
function sourceRules(sources: PortPolicy['sources']): readonly string[] {
  const of = (version: Version): readonly string[] =>
    sources.filter(({ address }) => versionOf(address) === version).map(({ mac, address }) => `${mac} . ${address}`);
  const macs = [...new Set(sources.map(({ mac }) => mac))];
  const linkLocal = macs.map((mac) => `${mac} . ${linkLocalOf(mac)}`);
  const [four, six] = [of(4), [...linkLocal, ...of(6)]];
  const advertised = [...macs.map(linkLocalOf), ...sources.map(({ address }) => address)].filter((address) => address.includes(':'));
  return [
    `ether saddr != ${setOf(macs)} drop`,
    // QEMU's announcement after a move.
    'ether type 0x8035 return',
    `ether type arp arp saddr ether != ${setOf(macs)} drop`,
    'ether type arp arp saddr ip 0.0.0.0 return',
    ...(four.length === 0 ? [] : [`ether type arp arp saddr ether . arp saddr ip ${setOf(four)} return`]),
    // Neither ARP for others nor what carries something else inside.
    'ether type != { ip, ip6 } drop',
    'ether type ip udp sport 67 drop',
    'ether type ip6 udp sport 547 drop',
    'icmpv6 type nd-router-advert drop',
    'ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 return',
    four.length === 0 ? 'ether type ip drop' : `ether type ip ether saddr . ip saddr != ${setOf(four)} drop`,
    'udp sport 68 udp dport 67 return',
    // Duplicate address detection and the group reports that go with it have no source address yet.
    'ip6 saddr :: icmpv6 type { nd-neighbor-solicit, mld-listener-report, mld2-listener-report } return',
    `ether type ip6 ether saddr . ip6 saddr != ${setOf(six)} drop`,
    ...(advertised.some((address) => address.includes('/'))
      ? []
      : [`icmpv6 type nd-neighbor-advert @th,64,128 != ${setOf(advertised.map((address) => `0x${ipv6Hex(address)}`))} drop`]),
    'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } return',
    'ip6 saddr fe80::/10 udp sport 546 udp dport 547 return',
  ];
}

/** What a guest's network needs to reach it, whatever the rules: who has which address, and who gives them out. */
const arrivalRules: readonly string[] = [
  'ether type { arp, 0x8035 } return',
  'ether type != { ip, ip6 } drop',
  'ether type ip udp sport 67 udp dport 68 return',
  'ether type ip6 udp sport 547 udp dport 546 return',
  'icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld-listener-report, mld2-listener-report } return',
];

const commonRules: readonly string[] = [
  'ip frag-off & 0x1fff != 0 return',
  'frag frag-off != 0 return',
  'icmp type { destination-unreachable, time-exceeded, parameter-problem } return',
  'icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } return',
];

/** Flows that are known pass. */
const knownRules = (tap: string, way: Way): readonly string[] =>
  versions.flatMap((version) => {
    const { ip, tuple, pair } = keysOf(version, way);
    const icmp = version === 4 ? 'icmp' : 'icmpv6';
    // An answer to the guest's ping is of a flow that the guest began; its own answers are of those that others began.
    const asked = way === 'to' ? 'op' : 'ip';
    return [
      ...(['o', 'i'] as const).map((beginner) => `ether type ${ip} ${tuple} @${tap}${beginner}${version} goto ${tap}_${beginner}_${way}`),
      `ether type ${ip} tcp flags & (syn | ack) != syn ${tuple} @${tap}c${version} return`,
      `${icmp} type echo-reply ${pair} @${tap}${asked}${version} return`,
      ...(['o', 'i'] as const).map(
        (beginner) =>
          `ether type ${ip} meta l4proto != ${setOf(notByPair)} ${pair} @${tap}${beginner}p${version} goto ${tap}_${beginner}_${way}`,
      ),
    ];
  });

const allowRules = (tap: string, rules: readonly SecurityRule[], direction: SecurityRule['direction']): readonly string[] =>
  rules
    .filter((rule) => rule.direction === direction)
    .map((rule) => `${matchOf(rule)} goto ${direction === 'egress' ? `${tap}_o_from` : `${tap}_i_to`}`);

function matchOf({ direction, ipVersion, protocol, first, last, remote }: SecurityRule): string {
  const ip = ipVersion === 4 ? 'ip' : 'ip6';
  const side = direction === 'ingress' ? 'saddr' : 'daddr';
  const parts = [`ether type ${ip}`];
  if (remote.kind === 'prefix') parts.push(`${ip} ${side} ${remote.prefix}`);
  if (remote.kind === 'group') parts.push(`${ip} ${side} @${groupSet(remote.groupId, ipVersion)}`);
  if (protocol !== null) parts.push(`meta l4proto ${protocol}`);
  if (protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpV6) {
    const icmp = protocol === protocolNumbers.icmp ? 'icmp' : 'icmpv6';
    if (first !== null) parts.push(`${icmp} type ${first}`);
    if (first !== null && last !== null) parts.push(`${icmp} code ${last}`);
  } else if (protocol !== null && portProtocols.includes(protocol) && first !== null) {
    parts.push(`th dport ${first}-${last ?? first}`);
  }
  return parts.join(' ');
}

/** Enters a packet's flow, or keeps it for longer. */
const rememberRules = (tap: string, beginner: Beginner, way: Way): readonly string[] =>
  versions.flatMap((version) => {
    const { ip, tuple, pair } = keysOf(version, way);
    const set = `@${tap}${beginner}${version}`;
    const others = portProtocols.filter((protocol) => protocol !== protocolNumbers.tcp);
    return [
      `ether type ${ip} tcp flags & (fin | rst) != 0 delete ${set} { ${tuple} } update @${tap}c${version} { ${tuple} timeout ${closingTimeout} } return`,
      `ether type ${ip} tcp flags & (syn | ack) == syn update ${set} { ${tuple} timeout ${openingTimeout} } return`,
      `ether type ${ip} meta l4proto ${protocolNumbers.tcp} update ${set} { ${tuple} timeout ${establishedTimeout} } return`,
      `ether type ${ip} meta l4proto ${setOf(others)} update ${set} { ${tuple} timeout ${datagramTimeout} } return`,
      `ether type ${ip} update @${tap}${beginner}p${version} { ${pair} timeout ${pairTimeout} } return`,
    ];
  });

function keysOf(version: Version, way: Way): { readonly ip: string; readonly tuple: string; readonly pair: string } {
  const ip = version === 4 ? 'ip' : 'ip6';
  const [own, other] = way === 'from' ? (['s', 'd'] as const) : (['d', 's'] as const);
  return {
    ip,
    tuple: `meta l4proto . ${ip} ${own}addr . th ${own}port . ${ip} ${other}addr . th ${other}port`,
    pair: `meta l4proto . ${ip} ${own}addr . ${ip} ${other}addr`,
  };
}

/** Known by their tuple, or of which only answers pass. */
const notByPair: readonly number[] = [...portProtocols, protocolNumbers.icmp, protocolNumbers.icmpV6];

const flowSet = (name: string, type: string): string =>
  `add set ${table} ${name} { type ${type}; size ${flowLimit}; flags dynamic,timeout; }`;
const tupleType = (version: Version): string => `inet_proto . ipv${version}_addr . inet_service . ipv${version}_addr . inet_service`;
const groupSet = (groupId: string, version: Version): string => `sg${groupId.replaceAll('-', '')}v${version}`;
const setOf = (members: readonly (string | number)[]): string => `{ ${members.join(', ')} }`;
const versionOf = (address: string): Version => (address.includes(':') ? 6 : 4);

/** The address that a guest gives itself by its MAC (RFC 4291, appendix A). */
function linkLocalOf(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  const group = (high: number, low: number): string => ((high << 8) | low).toString(16);
  return `fe80::${group(a ^ 2, b)}:${group(c, 0xff)}:${group(0xfe, d)}:${group(e, f)}`;
}

function ipv6Hex(address: string): string {
  const [head = '', tail] = address.split('::');
  const groups = (text: string | undefined): readonly string[] => (text === undefined || text === '' ? [] : text.split(':'));
  const [left, right] = [groups(head), groups(tail)];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
  return all.map((group) => group.padStart(4, '0')).join('');
}
