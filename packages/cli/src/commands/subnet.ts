import { find, findId } from '../cloud/find.ts';
import type { Command, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { isObject, type Json, type JsonObject, objectAt, textAt } from '../json.ts';
import { keyValues } from '../key-values.ts';
import { type Cell, Formatted, listOfDictionaries, listOrNone } from '../render/cell.ts';
import { forEach } from './for-each.ts';

const objects = (value: Json | undefined): readonly JsonObject[] => (Array.isArray(value) ? value : []).filter(isObject);

/** `10.0.0.2-10.0.0.254` per pool. */
const pools = (value: Json | undefined): Formatted =>
  new Formatted(
    objects(value),
    objects(value)
      .map((pool) => `${textAt(pool, 'start')}-${textAt(pool, 'end')}`)
      .join(','),
  );

const fieldsOf = (subnet: JsonObject): ShowResult => {
  const plain = (name: string): readonly [string, Cell] => [name, subnet[name] ?? null];
  return [
    ['allocation_pools', pools(subnet.allocation_pools)],
    plain('cidr'),
    plain('created_at'),
    plain('description'),
    ['dns_nameservers', listOrNone(subnet.dns_nameservers)],
    plain('dns_publish_fixed_ip'),
    plain('enable_dhcp'),
    plain('gateway_ip'),
    ['host_routes', listOfDictionaries(objects(subnet.host_routes))],
    plain('id'),
    plain('ip_version'),
    plain('ipv6_address_mode'),
    plain('ipv6_ra_mode'),
    plain('name'),
    plain('network_id'),
    plain('project_id'),
    plain('revision_number'),
    plain('segment_id'),
    ['service_types', listOrNone(subnet.service_types)],
    plain('subnetpool_id'),
    ['tags', listOrNone(subnet.tags)],
    plain('updated_at'),
  ];
};

export const commands: readonly Command[] = [
  {
    words: 'subnet list',
    summary: 'List subnets',
    options: [
      { flags: '--long', description: 'list additional fields' },
      { flags: '--ip-version <version>', description: 'only subnets of this IP version', choices: ['4', '6'] },
      { flags: '--network <network>', description: 'only subnets of this network' },
      { flags: '--name <name>', description: 'only subnets of this name' },
      { flags: '--subnet-range <range>', description: 'only subnets of this range' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const network = input.text('network');
      const subnets = await (await cloud.service('network')).all('/subnets', 'subnets', {
        ip_version: input.text('ip-version'),
        network_id: network === null ? null : await findId(cloud, 'network', network),
        name: input.text('name'),
        cidr: input.text('subnet-range'),
      });
      const long = input.flag('long');
      return {
        columns: [
          'ID',
          'Name',
          'Network',
          'Subnet',
          ...(long
            ? ['Project', 'DHCP', 'Name Servers', 'Allocation Pools', 'Host Routes', 'IP Version', 'Gateway', 'Service Types', 'Tags']
            : []),
        ],
        rows: subnets.map((subnet) => [
          subnet.id ?? null,
          subnet.name ?? null,
          subnet.network_id ?? null,
          subnet.cidr ?? null,
          ...(long
            ? [
                subnet.project_id ?? null,
                subnet.enable_dhcp ?? null,
                listOrNone(subnet.dns_nameservers),
                pools(subnet.allocation_pools),
                listOfDictionaries(objects(subnet.host_routes)),
                subnet.ip_version ?? null,
                subnet.gateway_ip ?? null,
                listOrNone(subnet.service_types),
                listOrNone(subnet.tags),
              ]
            : []),
        ]),
      };
    },
  },
  {
    words: 'subnet show',
    summary: 'Display subnet details',
    arguments: ['<subnet>'],
    output: 'show',
    run: async (cloud, input) => fieldsOf(await find(cloud, 'subnet', input.argument('subnet'))),
  },
  {
    words: 'subnet create',
    summary: 'Create a subnet',
    arguments: ['<name>'],
    options: [
      { flags: '--network <network>', description: 'the network it belongs to (name or ID)', required: true },
      { flags: '--subnet-range <range>', description: 'its range in CIDR notation', required: true },
      { flags: '--ip-version <version>', description: '4 (default) or 6', choices: ['4', '6'] },
      { flags: '--gateway <address>', description: 'gateway; `auto` (default) or `none`' },
      { flags: '--allocation-pool <start=…,end=…>', description: 'addresses to give out, can be repeated', repeat: true },
      { flags: '--dns-nameserver <address>', description: 'name server, can be repeated', repeat: true },
      { flags: '--dhcp', description: 'serve addresses by DHCP (default)' },
      { flags: '--no-dhcp', description: 'serve no addresses' },
    ],
    output: 'show',
    run: async (cloud, input) => {
      if (input.flag('dhcp') && input.flag('no-dhcp'))
        throw new CommandError('--dhcp and --no-dhcp exclude each other.', { exitCode: exitCodes.usage });
      const gateway = input.text('gateway') ?? 'auto';
      const subnet: Record<string, Json> = {
        name: input.argument('name'),
        network_id: await findId(cloud, 'network', input.text('network') ?? ''),
        cidr: input.text('subnet-range') ?? '',
        ip_version: Number(input.text('ip-version') ?? 4),
        enable_dhcp: !input.flag('no-dhcp'),
      };
      if (gateway !== 'auto') subnet.gateway_ip = gateway === 'none' ? null : gateway;
      const given = input.texts('allocation-pool').map((pool) => keyValues(pool.split(','), 'allocation-pool'));
      if (given.length > 0) subnet.allocation_pools = given;
      if (input.texts('dns-nameserver').length > 0) subnet.dns_nameservers = [...input.texts('dns-nameserver')];
      return fieldsOf(objectAt(await (await cloud.service('network')).post('/subnets', { subnet }), 'subnet'));
    },
  },
  {
    words: 'subnet delete',
    summary: 'Delete subnet(s)',
    arguments: ['<subnet...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const service = await cloud.service('network');
      await forEach(input.arguments('subnet'), terminal, async (given) => {
        await service.delete(`/subnets/${await findId(cloud, 'subnet', given)}`);
      });
    },
  },
];
