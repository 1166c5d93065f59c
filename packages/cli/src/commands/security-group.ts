import { find, findId } from '../cloud/find.ts';
import type { Command, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { isObject, type Json, type JsonObject, numberAt, objectAt, textAt } from '../json.ts';
import { type Cell, listOfDictionaries, listOrNone } from '../render/cell.ts';
import { forEach } from './for-each.ts';

function groupFields(group: JsonObject): ShowResult {
  return Object.entries(group)
    .filter(([name]) => name !== 'tenant_id')
    .map(([name, value]): readonly [string, Cell] =>
      name === 'security_group_rules'
        ? ['rules', listOfDictionaries((Array.isArray(value) ? value : []).filter(isObject))]
        : [name, name === 'tags' ? listOrNone(value) : value],
    )
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const ruleFields = (rule: JsonObject): ShowResult =>
  Object.entries(rule)
    .filter(([name]) => name !== 'tenant_id')
    .map(([name, value]): readonly [string, Cell] => [name === 'ethertype' ? 'ether_type' : name, value])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));

const isIcmp = (rule: JsonObject): boolean => ['icmp', 'icmpv6', 'ipv6-icmp', '1', '58'].includes(textAt(rule, 'protocol'));

/** `22:22`, or `type=3:code=0` of ICMP; empty for all. */
function portRange(rule: JsonObject): string {
  const [min, max] = [numberAt(rule, 'port_range_min'), numberAt(rule, 'port_range_max')];
  if (isIcmp(rule)) return `${min === null || min === 0 ? '' : `type=${min}`}${max === null || max === 0 ? '' : `:code=${max}`}`;
  return min === null && max === null ? '' : `${min ?? max}:${max ?? min}`;
}

const anywhere = (rule: JsonObject): Json => rule.remote_ip_prefix ?? (rule.ethertype === 'IPv6' ? '::/0' : '0.0.0.0/0');

/** `22`, `20:25` → the two ends. */
function portsOf(text: string | null): { readonly port_range_min?: number; readonly port_range_max?: number } {
  if (text === null) return {};
  const match = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  if (match === null)
    throw new CommandError(`--dst-port takes a port or a range such as 20:25, not "${text}".`, { exitCode: exitCodes.usage });
  return { port_range_min: Number(match[1]), port_range_max: Number(match[2] ?? match[1]) };
}

export const commands: readonly Command[] = [
  {
    words: 'security group list',
    summary: 'List security groups',
    options: [{ flags: '--project <project>', description: 'only of this project (name or ID)' }],
    output: 'list',
    run: async (cloud, input) => {
      const project = input.text('project');
      const groups = await (await cloud.service('network')).all('/security-groups', 'security_groups', {
        project_id: project === null ? null : await findId(cloud, 'project', project),
      });
      return {
        columns: ['ID', 'Name', 'Description', 'Project', 'Tags'],
        rows: groups.map((group) => [
          group.id ?? null,
          group.name ?? null,
          group.description ?? null,
          group.project_id ?? null,
          group.tags ?? null,
        ]),
      };
    },
  },
  {
    words: 'security group show',
    summary: 'Display a security group with its rules',
    arguments: ['<group>'],
    output: 'show',
    run: async (cloud, input) => groupFields(await find(cloud, 'security group', input.argument('group'))),
  },
  {
    words: 'security group create',
    summary: 'Create a security group: everything goes out, nothing comes in',
    arguments: ['<name>'],
    options: [{ flags: '--description <description>', description: 'description' }],
    output: 'show',
    run: async (cloud, input) => {
      const name = input.argument('name');
      const body = { security_group: { name, description: input.text('description') ?? name } };
      return groupFields(objectAt(await (await cloud.service('network')).post('/security-groups', body), 'security_group'));
    },
  },
  {
    words: 'security group set',
    summary: 'Set security group properties',
    arguments: ['<group>'],
    options: [
      { flags: '--name <new-name>', description: 'new name' },
      { flags: '--description <description>', description: 'new description' },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const group: Record<string, Json> = {};
      for (const attribute of ['name', 'description']) {
        const value = input.text(attribute);
        if (value !== null) group[attribute] = value;
      }
      if (Object.keys(group).length === 0) throw new CommandError('There is nothing to set.', { exitCode: exitCodes.usage });
      const id = await findId(cloud, 'security group', input.argument('group'));
      await (await cloud.service('network')).put(`/security-groups/${id}`, { security_group: group });
    },
  },
  {
    words: 'security group delete',
    summary: 'Delete security group(s)',
    arguments: ['<group...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const service = await cloud.service('network');
      await forEach(input.arguments('group'), terminal, async (given) => {
        await service.delete(`/security-groups/${await findId(cloud, 'security group', given)}`);
      });
    },
  },
  {
    words: 'security group rule list',
    summary: 'List rules, of one security group or of all',
    arguments: ['[group]'],
    options: [
      { flags: '--ingress', description: 'only for what comes in' },
      { flags: '--egress', description: 'only for what goes out' },
      { flags: '--protocol <protocol>', description: 'only for this protocol' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const group = input.argument('group');
      const rules = await (await cloud.service('network')).all('/security-group-rules', 'security_group_rules', {
        security_group_id: group === '' ? null : await findId(cloud, 'security group', group),
        direction: input.flag('ingress') ? 'ingress' : input.flag('egress') ? 'egress' : null,
        protocol: input.text('protocol'),
      });
      return {
        columns: [
          'ID',
          'IP Protocol',
          'Ethertype',
          'IP Range',
          'Port Range',
          'Direction',
          'Remote Security Group',
          'Remote Address Group',
          ...(group === '' ? ['Security Group'] : []),
        ],
        rows: rules.map((rule) => [
          rule.id ?? null,
          rule.protocol ?? null,
          rule.ethertype ?? null,
          anywhere(rule),
          portRange(rule),
          rule.direction ?? null,
          rule.remote_group_id ?? null,
          rule.remote_address_group_id ?? null,
          ...(group === '' ? [rule.security_group_id ?? null] : []),
        ]),
      };
    },
  },
  {
    words: 'security group rule create',
    summary: 'Let something in or out',
    arguments: ['<group>'],
    options: [
      { flags: '--protocol <protocol>', description: 'tcp, udp, icmp, a number, or any (default)' },
      { flags: '--dst-port <port[:port]>', description: 'destination port or range' },
      { flags: '--remote-ip <cidr>', description: 'from or to these addresses' },
      { flags: '--remote-group <group>', description: 'from or to the members of this group (name or ID)' },
      { flags: '--ethertype <type>', description: 'IPv4 (default) or IPv6', choices: ['IPv4', 'IPv6'] },
      { flags: '--ingress', description: 'for what comes in (default)' },
      { flags: '--egress', description: 'for what goes out' },
      { flags: '--description <description>', description: 'description' },
    ],
    output: 'show',
    run: async (cloud, input) => {
      const [protocol, remoteGroup, remoteIp] = [input.text('protocol'), input.text('remote-group'), input.text('remote-ip')];
      if (remoteGroup !== null && remoteIp !== null)
        throw new CommandError('--remote-ip and --remote-group exclude each other.', { exitCode: exitCodes.usage });
      const rule = {
        security_group_id: await findId(cloud, 'security group', input.argument('group')),
        direction: input.flag('egress') ? 'egress' : 'ingress',
        ethertype: input.text('ethertype') ?? (remoteIp?.includes(':') === true ? 'IPv6' : 'IPv4'),
        protocol: protocol === null || protocol === 'any' ? null : protocol.toLowerCase(),
        ...portsOf(input.text('dst-port')),
        ...(remoteIp === null ? {} : { remote_ip_prefix: remoteIp }),
        ...(remoteGroup === null ? {} : { remote_group_id: await findId(cloud, 'security group', remoteGroup) }),
        ...(input.text('description') === null ? {} : { description: input.text('description') }),
      };
      const body = await (await cloud.service('network')).post('/security-group-rules', { security_group_rule: rule });
      return ruleFields(objectAt(body, 'security_group_rule'));
    },
  },
  {
    words: 'security group rule show',
    summary: 'Display a rule',
    arguments: ['<rule>'],
    output: 'show',
    run: async (cloud, input) =>
      ruleFields(
        objectAt(
          await (await cloud.service('network')).get(`/security-group-rules/${encodeURIComponent(input.argument('rule'))}`),
          'security_group_rule',
        ),
      ),
  },
  {
    words: 'security group rule delete',
    summary: 'Delete rule(s)',
    arguments: ['<rule...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const service = await cloud.service('network');
      await forEach(input.arguments('rule'), terminal, async (given) => {
        await service.delete(`/security-group-rules/${encodeURIComponent(given)}`);
      });
    },
  },
];
