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
  const subnets = await servedSubnets(
    db,
    ports.flatMap((port) => port.fixed_ips.map(({ subnetId }) => subnetId)),
  );
  const portIds = ports.filter((port) => port.port_security_enabled).map((port) => port.id);
  const rules =
    portIds.length === 0
      ? []
      : await db
          .selectFrom('port_security_group')
          .innerJoin('security_group_rule', 'security_group_rule.security_group_id', 'port_security_group.security_group_id')
          .selectAll('security_group_rule')
          .select('port_security_group.port_id')
          .where('port_security_group.port_id', 'in', portIds)
          .orderBy('security_group_rule.id')
          .execute();
  const byPort = Map.groupBy(rules, (rule) => rule.port_id);
  return {
    number: drawn[0]?.number ?? 0,
    ports: ports.map((port): PortPolicy => {
      const down = !port.admin_state_up || !port.network_up;
      return {
        portId: port.id,
        sources: [...port.fixed_ips.map(({ address }) => ({ mac: port.mac, address })), ...port.allowed_address_pairs],
        rules: port.port_security_enabled ? distinct((byPort.get(port.id) ?? []).flatMap(ruleOf)) : null,
        ...(down ? { down } : {}),
        lease: down ? null : leaseOf(port, subnets),
      };
    }),
    groups: await addressesOf(
      db,
      rules.flatMap((rule) => rule.remote_group_id ?? []),
    ),
  };
}

/** Nameservers of the IPv4 subnets that answer by DHCP. */
async function servedSubnets(db: Db, subnetIds: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  if (subnetIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('subnet')
    .select(['id', 'dns_nameservers'])
    .where('id', 'in', [...new Set(subnetIds)])
    .where('enable_dhcp', '=', true)
    .where(sql<boolean>`family(cidr) = 4`)
    .execute();
  return new Map(rows.map((row) => [row.id, row.dns_nameservers]));
}

/** A guest has one lease: its port's first address of a subnet that answers. */
function leaseOf(
  port: { readonly fixed_ips: readonly FixedIpColumn[]; readonly mtu: number; readonly hostname: string | null },
  subnets: ReadonlyMap<string, readonly string[]>,
): AddressLease | null {
  const ip = port.fixed_ips.find(({ subnetId }) => subnets.has(subnetId));
  if (ip === undefined) return null;
  return {
    address: ip.address,
    prefixLength: ip.prefixLength,
    gateway: ip.gateway,
    nameservers: subnets.get(ip.subnetId) ?? [],
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

async function addressesOf(db: Db, groupIds: readonly string[]): Promise<NetworkPolicy['groups']> {
  const wanted = [...new Set(groupIds)].toSorted();
  if (wanted.length === 0) return {};
  const rows = await db
    .selectFrom('port_security_group')
    .innerJoin('port', 'port.id', 'port_security_group.port_id')
    .select(['port_security_group.security_group_id', 'port.fixed_ips', 'port.allowed_address_pairs'])
    .where('port_security_group.security_group_id', 'in', wanted)
    .execute();
  const members = Map.groupBy(rows, (row) => row.security_group_id);
  return Object.fromEntries(
    wanted.map((groupId) => [
      groupId,
      [
        ...new Set(
          (members.get(groupId) ?? []).flatMap((row) => [...row.fixed_ips, ...row.allowed_address_pairs].map(({ address }) => address)),
        ),
      ].toSorted(),
    ]),
  );
}
