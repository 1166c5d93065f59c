import { find, findId } from '../cloud/find.ts';
import type { Command, CommandOption, Input, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { isObject, type Json, type JsonObject, objectAt } from '../json.ts';
import { keyValues } from '../key-values.ts';
import { type Cell, dictionary, Formatted, listOfDictionaries, listOrNone } from '../render/cell.ts';
import { forEach } from './for-each.ts';

const objects = (value: Json | undefined): readonly JsonObject[] => (Array.isArray(value) ? value : []).filter(isObject);
const upDown = (value: Json | undefined): Formatted => new Formatted(value ?? null, value === true ? 'UP' : 'DOWN');

function fieldsOf(port: JsonObject): ShowResult {
  const renamed: Readonly<Record<string, string>> = {
    'binding:host_id': 'binding_host_id',
    'binding:profile': 'binding_profile',
    'binding:vif_details': 'binding_vif_details',
    'binding:vif_type': 'binding_vif_type',
    'binding:vnic_type': 'binding_vnic_type',
    security_groups: 'security_group_ids',
  };
  return Object.entries(port)
    .filter(([name]) => name !== 'tenant_id')
    .map(([name, value]): readonly [string, Cell] => [renamed[name] ?? name, cellOf(name, value)])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function cellOf(name: string, value: Json): Cell {
  switch (name) {
    case 'admin_state_up':
      return upDown(value);
    case 'fixed_ips':
    case 'allowed_address_pairs':
    case 'dns_assignment':
    case 'extra_dhcp_opts':
      return listOfDictionaries(objects(value));
    case 'binding:profile':
    case 'binding:vif_details':
      return dictionary(isObject(value) ? value : {});
    case 'security_groups':
    case 'tags':
      return listOrNone(value);
    default:
      return value;
  }
}

const attributes: readonly CommandOption[] = [
  { flags: '--description <description>', description: 'description' },
  { flags: '--fixed-ip <subnet=…,ip-address=…>', description: 'an address, can be repeated', repeat: true },
  { flags: '--security-group <group>', description: 'a security group (name or ID), can be repeated', repeat: true },
  { flags: '--no-security-group', description: 'no security group' },
  { flags: '--enable-port-security', description: 'only its own addresses may be used' },
  { flags: '--disable-port-security', description: 'any address may be used; no security groups' },
  { flags: '--enable', description: 'up' },
  { flags: '--disable', description: 'down' },
];

async function attributesOf(cloud: Parameters<typeof findId>[0], input: Input): Promise<Record<string, Json>> {
  const given: Record<string, Json> = {};
  for (const [yes, no] of [
    ['enable', 'disable'],
    ['enable-port-security', 'disable-port-security'],
  ] as const)
    if (input.flag(yes) && input.flag(no))
      throw new CommandError(`--${yes} and --${no} exclude each other.`, { exitCode: exitCodes.usage });
  if (input.text('description') !== null) given.description = input.text('description');
  if (input.flag('enable') || input.flag('disable')) given.admin_state_up = input.flag('enable');
  if (input.flag('enable-port-security') || input.flag('disable-port-security'))
    given.port_security_enabled = input.flag('enable-port-security');
  const groups = input.texts('security-group');
  if (groups.length > 0) given.security_groups = await Promise.all(groups.map(async (group) => findId(cloud, 'security group', group)));
  else if (input.flag('no-security-group')) given.security_groups = [];
  const addresses = input.texts('fixed-ip').map((one) => keyValues(one.split(','), 'fixed-ip'));
  if (addresses.length > 0)
    given.fixed_ips = await Promise.all(
      addresses.map(async ({ subnet, 'ip-address': address }) => ({
        ...(subnet === undefined ? {} : { subnet_id: await findId(cloud, 'subnet', subnet) }),
        ...(address === undefined ? {} : { ip_address: address }),
      })),
    );
  return given;
}

export const commands: readonly Command[] = [
  {
    words: 'port list',
    summary: 'List ports',
    options: [
      { flags: '--network <network>', description: 'only of this network (name or ID)' },
      { flags: '--server <server>', description: 'only of this server (name or ID)' },
      { flags: '--mac-address <address>', description: 'only with this MAC address' },
      { flags: '--name <name>', description: 'only of this name' },
      { flags: '--host <host>', description: 'only bound to this host' },
      { flags: '--long', description: 'list additional fields' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const [network, server] = [input.text('network'), input.text('server')];
      const ports = await (await cloud.service('network')).all('/ports', 'ports', {
        network_id: network === null ? null : await findId(cloud, 'network', network),
        device_id: server === null ? null : await findId(cloud, 'server', server),
        mac_address: input.text('mac-address'),
        name: input.text('name'),
        'binding:host_id': input.text('host'),
      });
      const long = input.flag('long');
      return {
        columns: [
          'ID',
          'Name',
          'MAC Address',
          'Fixed IP Addresses',
          'Status',
          ...(long ? ['Security Groups', 'Device Owner', 'Tags'] : []),
        ],
        rows: ports.map((port) => [
          port.id ?? null,
          port.name ?? null,
          port.mac_address ?? null,
          listOfDictionaries(objects(port.fixed_ips)),
          port.status ?? null,
          ...(long ? [listOrNone(port.security_groups), port.device_owner ?? null, listOrNone(port.tags)] : []),
        ]),
      };
    },
  },
  {
    words: 'port show',
    summary: 'Display port details',
    arguments: ['<port>'],
    output: 'show',
    run: async (cloud, input) => fieldsOf(await find(cloud, 'port', input.argument('port'))),
  },
  {
    words: 'port create',
    summary: 'Create a port, with an address and a MAC of its own if asked for',
    arguments: ['<name>'],
    options: [
      { flags: '--network <network>', description: 'the network (name or ID)', required: true },
      { flags: '--mac-address <address>', description: 'its MAC address' },
      ...attributes,
    ],
    output: 'show',
    run: async (cloud, input) => {
      const mac = input.text('mac-address');
      const port = {
        name: input.argument('name'),
        network_id: await findId(cloud, 'network', input.text('network') ?? ''),
        ...(mac === null ? {} : { mac_address: mac }),
        ...(await attributesOf(cloud, input)),
      };
      return fieldsOf(objectAt(await (await cloud.service('network')).post('/ports', { port }), 'port'));
    },
  },
  {
    words: 'port set',
    summary: 'Set port properties',
    arguments: ['<port>'],
    options: [{ flags: '--name <name>', description: 'new name' }, ...attributes],
    output: 'none',
    run: async (cloud, input) => {
      const port = await attributesOf(cloud, input);
      if (input.text('name') !== null) port.name = input.text('name');
      if (Object.keys(port).length === 0) throw new CommandError('There is nothing to set.', { exitCode: exitCodes.usage });
      await (await cloud.service('network')).put(`/ports/${await findId(cloud, 'port', input.argument('port'))}`, { port });
    },
  },
  {
    words: 'port delete',
    summary: 'Delete port(s)',
    arguments: ['<port...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const service = await cloud.service('network');
      await forEach(input.arguments('port'), terminal, async (given) => {
        await service.delete(`/ports/${await findId(cloud, 'port', given)}`);
      });
    },
  },
];
