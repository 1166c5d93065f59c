import { isIP } from 'node:net';
import { GodwitError } from '@godwit/domain/errors';
import type { AddressLease, NetworkPolicy, PortPolicy, SecurityRule } from '@godwit/domain/network-policy';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const macAddress = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;

/** A policy as it came over the wire. Throws BadRequest naming what is not what it must be: all of it becomes part of a ruleset. */
export function networkPolicyFromWire(json: string): NetworkPolicy {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new GodwitError('BadRequest', 'the network policy is not JSON', {}, { cause: error });
  }
  const policy = record(value, 'network policy');
  return {
    number: integer(policy['number'], 'number', Number.MAX_SAFE_INTEGER),
    ports: list(policy['ports'], 'ports').map(portFrom),
    groups: Object.fromEntries(
      Object.entries(record(policy['groups'], 'groups')).map(([groupId, addresses]) => [
        matching(groupId, uuid, 'group id'),
        list(addresses, 'addresses of a group').map(prefixFrom),
      ]),
    ),
  };
}

function portFrom(value: unknown): PortPolicy {
  const port = record(value, 'port');
  return {
    portId: matching(port['portId'], uuid, 'port id'),
    sources: list(port['sources'], 'sources').map((one) => {
      const source = record(one, 'source');
      return { mac: matching(source['mac'], macAddress, 'MAC address'), address: prefixFrom(source['address']) };
    }),
    ...(port['down'] === true ? { down: true as const } : {}),
    rules: port['rules'] === null ? null : list(port['rules'], 'rules').map(ruleFrom),
    lease: port['lease'] == null ? null : leaseFrom(record(port['lease'], 'lease')),
  };
}

function leaseFrom(lease: Readonly<Record<string, unknown>>): AddressLease {
  const address = (value: unknown): string => {
    if (typeof value !== 'string' || isIP(value) === 0) throw wrong('address', value);
    return value;
  };
  const ipv4 = (value: unknown): string => {
    if (typeof value !== 'string' || isIP(value) !== 4) throw wrong('IPv4 address', value);
    return value;
  };
  return {
    address: ipv4(lease['address']),
    prefixLength: integer(lease['prefixLength'], 'prefix length', 32),
    gateway: lease['gateway'] === null ? null : ipv4(lease['gateway']),
    nameservers: list(lease['nameservers'], 'nameservers').map(address),
    mtu: integer(lease['mtu'], 'MTU', 65_535),
    hostname: matching(lease['hostname'], /^[A-Za-z0-9.-]{0,255}$/, 'host name'),
  };
}

function ruleFrom(value: unknown): SecurityRule {
  const rule = record(value, 'rule');
  const { direction, ipVersion } = rule;
  if (direction !== 'ingress' && direction !== 'egress') throw wrong('direction', direction);
  if (ipVersion !== 4 && ipVersion !== 6) throw wrong('IP version', ipVersion);
  const optional = (name: string, most: number): number | null => (rule[name] === null ? null : integer(rule[name], name, most));
  return {
    direction,
    ipVersion,
    protocol: optional('protocol', 255),
    first: optional('first', 65_535),
    last: optional('last', 65_535),
    remote: remoteFrom(record(rule['remote'], 'remote'), ipVersion),
  };
}

function remoteFrom(remote: Readonly<Record<string, unknown>>, ipVersion: 4 | 6): SecurityRule['remote'] {
  switch (remote['kind']) {
    case 'any':
      return { kind: 'any' };
    case 'group':
      return { kind: 'group', groupId: matching(remote['groupId'], uuid, 'group id') };
    case 'prefix': {
      const prefix = prefixFrom(remote['prefix']);
      if (prefix.includes(':') !== (ipVersion === 6)) throw wrong(`prefix of IPv${ipVersion}`, prefix);
      return { kind: 'prefix', prefix };
    }
    default:
      throw wrong('remote', remote['kind']);
  }
}

/** An address, or a prefix. */
function prefixFrom(value: unknown): string {
  const text = typeof value === 'string' ? value : '';
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  const most = version === 6 ? 128 : 32;
  if (
    version === 0 ||
    address.includes('%') ||
    more.length > 0 ||
    (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= most))
  )
    throw wrong('address', value);
  return text;
}

function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(what, value);
  return value as Readonly<Record<string, unknown>>;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(what, value);
  return value;
}

function integer(value: unknown, what: string, most: number): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0 || Number(value) > most) throw wrong(what, value);
  return Number(value);
}

function matching(value: unknown, pattern: RegExp, what: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw wrong(what, value);
  return value;
}

const wrong = (what: string, value: unknown): GodwitError =>
  new GodwitError('BadRequest', `${JSON.stringify(value)?.slice(0, 80)} is no ${what} of a network policy`);
