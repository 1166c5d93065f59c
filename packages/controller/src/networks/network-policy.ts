import type { AddressLease, NetworkPolicy, PortPolicy, SecurityRule } from '@godwit/domain/network-policy';
import { sql } from 'kysely';
import type { FixedIpColumn } from '../store/core-tables.ts';
import type { Db } from '../store/database.ts';
import { protocolNumber } from './protocol-number.ts';

/** Whose ports: one server's, or those of all servers on a host and on their way there. */
export type PolicyScope = { readonly serverId: string } | { readonly hostId: string };

/**
 * What the ports are allowed, as it is now. Its number is drawn first: whoever changes something sends a policy afterwards, whose number is higher than that of
 * every policy that was read before the change was there.
 */
export async function networkPolicy(db: Db, scope: PolicyScope): Promise<NetworkPolicy> {
  const { rows: drawn } = await sql<{ number: number }>`select nextval('network_policy_number') as number`.execute(db);
  const ports = await db
    .selectFrom('port')
    .innerJoin('network', 'network.id', 'port.network_id')
    .leftJoin('server', 'server.id', 'port.server_id')
    .select([
      'port.id',
      'port.mac',
      'port.fixed_ips',
      'port.allowed_address_pairs',
      'port.port_security_enabled',
      'port.admin_state_up',
      'network.mtu',
      'network.admin_state_up as network_up',
      'server.hostname',
      sql<
        readonly RuleRow[]
      >`coalesce((select json_agg(json_build_object('direction', r.direction, 'ip_version', r.ip_version, 'protocol', r.protocol, 'port_min', r.port_min,
          'port_max', r.port_max, 'remote_prefix', r.remote_prefix, 'remote_group_id', r.remote_group_id) order by r.id)
        from port_security_group g join security_group_rule r on r.security_group_id = g.security_group_id
        where g.port_id = port.id and port.port_security_enabled), '[]')`.as('rules'),
      // Of its network's IPv4 subnets, those that answer by DHCP.
      sql<Readonly<Record<string, readonly string[]>>>`coalesce((select json_object_agg(s.id, s.dns_nameservers) from subnet s
        where s.network_id = port.network_id and s.enable_dhcp and family(s.cidr) = 4), '{}')`.as('nameservers'),
    ])
    .where((eb) =>
      'serverId' in scope
        ? eb('port.server_id', '=', scope.serverId)
        : eb.or([
            eb('port.server_id', 'in', eb.selectFrom('server').select('server.id').where('server.host_id', '=', scope.hostId)),
            eb(
              'port.server_id',
              'in',
              eb
                .selectFrom('migration')
                .select('migration.server_id')
                .where('migration.destination_host_id', '=', scope.hostId)
                .where('migration.finished_at', 'is', null),
            ),
          ]),
    )
    .orderBy('port.id')
    .execute();
  return {
    number: drawn[0]?.number ?? 0,
    ports: ports.map((port): PortPolicy => {
      const down = !port.admin_state_up || !port.network_up;
      return {
        portId: port.id,
        sources: [...port.fixed_ips.map(({ address }) => ({ mac: port.mac, address })), ...port.allowed_address_pairs],
        rules: port.port_security_enabled ? distinct(port.rules.flatMap(ruleOf)) : null,
        ...(down ? { down } : {}),
        lease: down ? null : leaseOf(port),
      };
    }),
    groups: await addressesOf(
      db,
      ports.flatMap(({ rules }) => rules.flatMap((rule) => rule.remote_group_id ?? [])),
    ),
  };
}

/** A guest has one lease: its port's first address of a subnet that answers. */
function leaseOf(port: {
  readonly fixed_ips: readonly FixedIpColumn[];
  readonly mtu: number;
  readonly hostname: string | null;
  readonly nameservers: Readonly<Record<string, readonly string[]>>;
}): AddressLease | null {
  const ip = port.fixed_ips.find(({ subnetId }) => port.nameservers[subnetId] !== undefined);
  if (ip === undefined) return null;
  return {
    address: ip.address,
    prefixLength: ip.prefixLength,
    gateway: ip.gateway,
    nameservers: port.nameservers[ip.subnetId] ?? [],
    mtu: port.mtu,
    hostname: port.hostname !== null && /^[A-Za-z0-9.-]{1,255}$/.test(port.hostname) ? port.hostname : '',
  };
}

type RuleRow = {
  readonly direction: 'ingress' | 'egress';
  readonly ip_version: 4 | 6;
  readonly protocol: string | null;
  readonly port_min: number | null;
  readonly port_max: number | null;
  readonly remote_prefix: string | null;
  readonly remote_group_id: string | null;
};

function ruleOf(row: RuleRow): readonly SecurityRule[] {
  const protocol = row.protocol === null ? null : protocolNumber(row.protocol, row.ip_version);
  // A protocol that nobody knows any more must not open what it was to restrict.
  if (row.protocol !== null && protocol === null) return [];
  return [
    {
      direction: row.direction,
      ipVersion: row.ip_version,
      protocol,
      first: row.port_min,
      last: row.port_max,
      remote:
        row.remote_group_id !== null
          ? { kind: 'group', groupId: row.remote_group_id }
          : row.remote_prefix !== null
            ? { kind: 'prefix', prefix: row.remote_prefix }
            : { kind: 'any' },
    },
  ];
}

/** Several groups of a port may say the same. */
const distinct = (rules: readonly SecurityRule[]): readonly SecurityRule[] => [
  ...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values(),
];

/** Sorted by the database and told as one text: a project's default group has as many members as the project has ports. */
async function addressesOf(db: Db, groupIds: readonly string[]): Promise<NetworkPolicy['groups']> {
  const wanted = [...new Set(groupIds)].toSorted();
  if (wanted.length === 0) return {};
  const { rows } = await sql<{ id: string; addresses: readonly string[] }>`
    select member.id, json_agg(distinct member.address order by member.address) as addresses from (
      select g.security_group_id as id, host(a.address) collate "C" as address
      from port_security_group g join ip_allocation a on a.port_id = g.port_id where g.security_group_id = any(${wanted}::uuid[])
      union all
      select g.security_group_id, entry ->> 'address'
      from port_security_group g join port p on p.id = g.port_id, jsonb_array_elements(p.allowed_address_pairs) entry
      where g.security_group_id = any(${wanted}::uuid[]) and p.allowed_address_pairs <> '[]'
    ) member group by member.id`.execute(db);
  const members = new Map(rows.map(({ id, addresses }) => [id, addresses]));
  return Object.fromEntries(wanted.map((groupId) => [groupId, members.get(groupId) ?? []]));
}
