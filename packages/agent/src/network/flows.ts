import { BlockList, isIP } from 'node:net';
import { type PortPolicy, portProtocols, type SecurityRule } from '@godwit/domain/network-policy';
import { flowSets, table } from './tap-rules.ts';

/** One flow that a tap remembers, the guest's end first; ports are 0 for protocols without. */
export type Flow = {
  readonly beganBy: 'guest' | 'other';
  readonly protocol: number;
  readonly guest: string;
  readonly guestPort: number;
  readonly other: string;
  readonly otherPort: number;
  /** Of its life, as it is now. */
  readonly secondsLeft: number;
};

export const listFlowsCommands = (tap: string): readonly string[] => flowSets.map(({ suffix }) => `list set ${table} ${tap}${suffix}`);

/** The flows in nft's answers to `listFlowsCommands`. */
export function flowsOf(tap: string, answers: readonly unknown[]): readonly Flow[] {
  return (answers as readonly RawAnswer[]).flatMap(({ nftables }) =>
    nftables.flatMap(({ set }) => {
      const kind = flowSets.find(({ suffix }) => set?.name === `${tap}${suffix}`)?.kind;
      if (set === undefined || kind === undefined) return [];
      return (set.elem ?? []).flatMap(({ elem: { val, expires } }): readonly Flow[] => {
        const [name, guest, ...rest] = val.concat;
        const protocol = protocolNumber(name);
        if (protocol === null) return [];
        const [guestPort, other, otherPort] = rest.length === 3 ? rest : [0, rest[0], 0];
        return [
          {
            beganBy: kind.startsWith('o') ? 'guest' : 'other',
            protocol,
            guest: String(guest),
            guestPort: Number(guestPort),
            other: String(other),
            otherPort: Number(otherPort),
            secondsLeft: expires ?? 0,
          },
        ];
      });
    }),
  );
}

/** Enters flows at a tap that has its rules. */
export const flowLines = (tap: string, flows: readonly Flow[]): readonly string[] =>
  flowSets.flatMap(({ suffix }) => {
    const elements = flows
      .filter((flow) => suffixOf(flow) === suffix && flow.secondsLeft > 0)
      .map((flow) => `${keyOf(flow)} timeout ${flow.secondsLeft}s`);
    return elements.length === 0 ? [] : [`add element ${table} ${tap}${suffix} { ${elements.join(', ')} }`];
  });

export const forgetFlowLines = (tap: string, flows: readonly Flow[]): readonly string[] =>
  flowSets.flatMap(({ suffix }) => {
    const elements = flows.filter((flow) => suffixOf(flow) === suffix).map(keyOf);
    return elements.length === 0 ? [] : [`delete element ${table} ${tap}${suffix} { ${elements.join(', ')} }`];
  });

/** Whether a flow could begin today: under these rules, with these addresses of groups. Pure. */
export function stillAllowed(flow: Flow, rules: readonly SecurityRule[], groups: ReadonlyMap<string, readonly string[]>): boolean {
  const ipVersion = flow.guest.includes(':') ? 6 : 4;
  const direction = flow.beganBy === 'guest' ? 'egress' : 'ingress';
  const port = flow.beganBy === 'guest' ? flow.otherPort : flow.guestPort;
  return rules.some((rule) => {
    if (rule.direction !== direction || rule.ipVersion !== ipVersion) return false;
    if (rule.protocol !== null && rule.protocol !== flow.protocol) return false;
    if (
      portProtocols.includes(flow.protocol) &&
      rule.protocol !== null &&
      rule.first !== null &&
      (port < rule.first || port > (rule.last ?? rule.first))
    )
      return false;
    switch (rule.remote.kind) {
      case 'any':
        return true;
      case 'prefix':
        return within(flow.other, rule.remote.prefix);
      case 'group':
        return (groups.get(rule.remote.groupId) ?? []).some((prefix) => within(flow.other, prefix));
      default:
        return rule.remote satisfies never;
    }
  });
}

/** Flows out of another host's message; what is none of the port's own, or no flow, is left out: a host may only speak for the guest it sends. */
export function flowsFromJson(json: string, policy: PortPolicy): readonly Flow[] {
  const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535;
  return (JSON.parse(json) as readonly Partial<Flow>[]).filter(
    (flow): flow is Flow =>
      (flow.beganBy === 'guest' || flow.beganBy === 'other') &&
      Number.isInteger(flow.protocol) &&
      Number(flow.protocol) >= 0 &&
      Number(flow.protocol) <= 255 &&
      isPort(flow.guestPort) &&
      isPort(flow.otherPort) &&
      Number.isInteger(flow.secondsLeft) &&
      typeof flow.guest === 'string' &&
      typeof flow.other === 'string' &&
      isAddress(flow.guest) &&
      isAddress(flow.other) &&
      flow.guest.includes(':') === flow.other.includes(':') &&
      policy.sources.some(({ address }) => within(flow.guest ?? '', address)),
  );
}

type RawAnswer = {
  readonly nftables: readonly {
    readonly set?: {
      readonly name: string;
      readonly elem?: readonly {
        readonly elem: { readonly val: { readonly concat: readonly (string | number)[] }; readonly expires?: number };
      }[];
    };
  }[];
};

/** nft names protocols as its host's /etc/protocols does, and numbers those that are not there; a flow of a rarer name is not carried, but entered anew. */
const named: ReadonlyMap<string | number | undefined, number> = new Map([
  ['icmp', 1],
  ['igmp', 2],
  ['ipencap', 4],
  ['tcp', 6],
  ['udp', 17],
  ['dccp', 33],
  ['ipv6', 41],
  ['gre', 47],
  ['esp', 50],
  ['ah', 51],
  ['ipv6-icmp', 58],
  ['sctp', 132],
  ['udplite', 136],
]);
const protocolNumber = (name: string | number | undefined): number | null => (typeof name === 'number' ? name : (named.get(name) ?? null));

const suffixOf = ({ beganBy, protocol, guest }: Flow): string =>
  `${beganBy === 'guest' ? 'o' : 'i'}${portProtocols.includes(protocol) ? '' : 'p'}${guest.includes(':') ? 6 : 4}`;

const keyOf = ({ protocol, guest, guestPort, other, otherPort }: Flow): string =>
  portProtocols.includes(protocol)
    ? `${protocol} . ${guest} . ${guestPort} . ${other} . ${otherPort}`
    : `${protocol} . ${guest} . ${other}`;

const isAddress = (text: string): boolean => isIP(text) !== 0 && !text.includes('%');

/** Whether an address is, or lies in, an address or prefix. */
function within(address: string, prefix: string): boolean {
  const [network = '', bits] = prefix.split('/');
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
  if ((isIP(address) === 6) !== (family === 'ipv6')) return false;
  const list = new BlockList();
  list.addSubnet(network, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  return list.check(address, family);
}
