import { find, findId } from '../cloud/find.ts';
import type { Command, CommandOption, Input, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, type JsonObject, objectAt } from '../json.ts';
import { type Cell, Formatted, listOrNone } from '../render/cell.ts';
import { forEach } from './for-each.ts';
import { idInDomain, projectDomain } from './in-domain.ts';

const upDown = (value: Json | undefined): Formatted => new Formatted(value ?? null, value === true ? 'UP' : 'DOWN');
const externalInternal = (value: Json | undefined): Formatted => new Formatted(value ?? null, value === true ? 'External' : 'Internal');

function fieldsOf(network: JsonObject): ShowResult {
  const plain = [
    'availability_zone_hints',
    'availability_zones',
    'created_at',
    'description',
    'dns_domain',
    'id',
    'ipv4_address_scope',
    'ipv6_address_scope',
    'is_default',
    'is_vlan_transparent',
    'mtu',
    'name',
    'port_security_enabled',
    'project_id',
    'provider:network_type',
    'provider:physical_network',
    'provider:segmentation_id',
    'qos_policy_id',
    'revision_number',
    'segments',
    'shared',
    'status',
    'tags',
    'tenant_id',
    'updated_at',
  ];
  const lists = new Set(['availability_zone_hints', 'availability_zones', 'tags']);
  const renamed: Readonly<Record<string, string>> = { is_vlan_transparent: 'vlan_transparent' };
  const fields = plain
    .filter((name) => name !== 'tenant_id')
    .map((name): readonly [string, Cell] => {
      const value = network[renamed[name] ?? name];
      if (name === 'port_security_enabled') return [name, value ?? false];
      return [name, lists.has(name) ? listOrNone(value) : (value ?? null)];
    });
  return [
    ['admin_state_up', upDown(network.admin_state_up)] as const,
    ...fields,
    ['router:external', externalInternal(network['router:external'])] as const,
    ['subnets', listOrNone(network.subnets)] as const,
  ].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const both = (yes: string, no: string, input: Input): boolean | null => {
  if (input.flag(yes) && input.flag(no)) throw new CommandError(`--${yes} and --${no} exclude each other.`, { exitCode: exitCodes.usage });
  return input.flag(yes) ? true : input.flag(no) ? false : null;
};

const attributeOptions: readonly CommandOption[] = [
  { flags: '--share', description: 'for all projects' },
  { flags: '--no-share', description: 'for its own project' },
  { flags: '--enable', description: 'up' },
  { flags: '--disable', description: 'down' },
  { flags: '--description <description>', description: 'description' },
  { flags: '--mtu <mtu>', description: 'MTU', kind: 'integer' },
  { flags: '--external', description: 'reaches outside' },
  { flags: '--internal', description: 'does not reach outside' },
  { flags: '--enable-port-security', description: 'its ports use their own addresses alone, unless they say otherwise' },
  { flags: '--disable-port-security', description: 'its ports may use any address, unless they say otherwise' },
  { flags: '--provider-network-type <type>', description: 'flat, vlan, …' },
  { flags: '--provider-physical-network <name>', description: 'physical network beneath' },
  { flags: '--provider-segment <id>', description: 'VLAN id', kind: 'integer' },
];

function attributesOf(input: Input): Record<string, Json> {
  const given: Record<string, Json> = {};
  const put = (key: string, value: Json) => {
    if (value !== null) given[key] = value;
  };
  put('shared', both('share', 'no-share', input));
  put('admin_state_up', both('enable', 'disable', input));
  put('router:external', both('external', 'internal', input));
  put('port_security_enabled', both('enable-port-security', 'disable-port-security', input));
  put('description', input.text('description'));
  put('mtu', input.integer('mtu'));
  put('provider:network_type', input.text('provider-network-type'));
  put('provider:physical_network', input.text('provider-physical-network'));
  put('provider:segmentation_id', input.integer('provider-segment'));
  return given;
}

export const commands: readonly Command[] = [
  {
    words: 'network list',
    summary: 'List networks',
    options: [
      { flags: '--external', description: 'only external networks' },
      { flags: '--internal', description: 'only internal networks' },
      { flags: '--long', description: 'list additional fields' },
      { flags: '--name <name>', description: 'only networks of this name' },
      { flags: '--enable', description: 'only networks that are up' },
      { flags: '--disable', description: 'only networks that are down' },
      { flags: '--project <project>', description: 'only networks of this project' },
      projectDomain,
      { flags: '--share', description: 'only shared networks' },
      { flags: '--no-share', description: 'only networks that are not shared' },
      { flags: '--status <status>', description: 'only networks of this status' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const project = input.text('project');
      const networks = await (await cloud.service('network')).all('/networks', 'networks', {
        name: input.text('name'),
        status: input.text('status'),
        admin_state_up: both('enable', 'disable', input),
        shared: both('share', 'no-share', input),
        'router:external': both('external', 'internal', input),
        project_id: project === null ? null : await idInDomain(cloud, input, 'project', project),
      });
      const long = input.flag('long');
      return {
        columns: long
          ? ['ID', 'Name', 'Status', 'Project', 'State', 'Shared', 'Subnets', 'Network Type', 'Router Type', 'Availability Zones', 'Tags']
          : ['ID', 'Name', 'Subnets'],
        rows: networks.map((network): readonly Cell[] => {
          const subnets = listOrNone(network.subnets);
          if (!long) return [network.id ?? null, network.name ?? null, subnets];
          return [
            network.id ?? null,
            network.name ?? null,
            network.status ?? null,
            network.project_id ?? network.tenant_id ?? null,
            upDown(network.admin_state_up),
            network.shared ?? null,
            subnets,
            network['provider:network_type'] ?? null,
            externalInternal(network['router:external']),
            listOrNone(network.availability_zones),
            listOrNone(network.tags),
          ];
        }),
      };
    },
  },
  {
    words: 'network show',
    summary: 'Show network details',
    arguments: ['<network>'],
    output: 'show',
    run: async (cloud, input) => fieldsOf(await find(cloud, 'network', input.argument('network'))),
  },
  {
    words: 'network create',
    summary: 'Create new network',
    arguments: ['<name>'],
    options: [...attributeOptions, { flags: '--project <project>', description: "its owner's project" }, projectDomain],
    output: 'show',
    run: async (cloud, input) => {
      const project = input.text('project');
      const given = {
        admin_state_up: true,
        ...attributesOf(input),
        ...(project === null ? {} : { project_id: await idInDomain(cloud, input, 'project', project) }),
      };
      const made = await (await cloud.service('network')).post('/networks', { network: { name: input.argument('name'), ...given } });
      return fieldsOf(objectAt(made, 'network'));
    },
  },
  {
    words: 'network set',
    summary: 'Set network properties',
    arguments: ['<network>'],
    options: [{ flags: '--name <name>', description: 'new name' }, ...attributeOptions],
    output: 'none',
    run: async (cloud, input) => {
      const name = input.text('name');
      const change = { ...attributesOf(input), ...(name === null ? {} : { name }) };
      const id = await findId(cloud, 'network', input.argument('network'));
      if (Object.keys(change).length > 0) await (await cloud.service('network')).put(`/networks/${id}`, { network: change });
    },
  },
  {
    words: 'network delete',
    summary: 'Delete network(s)',
    arguments: ['<network...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const service = await cloud.service('network');
      await forEach(input.arguments('network'), terminal, async (given) => {
        await service.delete(`/networks/${await findId(cloud, 'network', given)}`);
      });
    },
  },
];
