import type { Cloud } from '../../cloud/cloud.ts';
import { find, findId } from '../../cloud/find.ts';
import type { Command, ShowResult } from '../../command.ts';
import { CommandError } from '../../command-error.ts';
import { type Json, type JsonObject, objectAt, textAt } from '../../json.ts';
import { keyValues } from '../../key-values.ts';
import { type Cell, dictionary, listOf } from '../../render/cell.ts';
import { forEach } from '../for-each.ts';

const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

function fieldsOf(cloud: Cloud, group: JsonObject): ShowResult {
  const fields: (readonly [string, Cell])[] = [
    ['id', group.id ?? null],
    ['members', listOf(list(group.members))],
    ['name', group.name ?? null],
    cloud.supports(64) ? ['policy', group.policy ?? null] : ['policies', listOf(list(group.policies))],
    ['project_id', group.project_id ?? null],
    ...(cloud.supports(64) ? [['rules', dictionary(objectAt(group, 'rules'))] as const] : []),
    ['user_id', group.user_id ?? null],
  ];
  return fields;
}

export const serverGroups: readonly Command[] = [
  {
    words: 'server group create',
    summary: 'Create a new server group',
    arguments: ['<name>'],
    options: [
      {
        flags: '--policy <policy>',
        description: 'defaults to affinity',
        choices: ['affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity'],
      },
      { flags: '--rule <key=value>', description: 'rule of the policy: max_server_per_host (2.64)', repeat: true },
    ],
    output: 'show',
    run: async (cloud, input) => {
      const policy = input.text('policy') ?? 'affinity';
      if (policy.startsWith('soft-')) cloud.require(15, `support the ${policy} policy`);
      const rules = Object.fromEntries(
        Object.entries(keyValues(input.texts('rule'), 'rule')).map(([key, value]) => [key, /^\d+$/.test(value) ? Number(value) : value]),
      );
      if (Object.keys(rules).length > 0) cloud.require(64, 'support the --rule option');
      const name = input.argument('name');
      const group = cloud.supports(64)
        ? { name, policy, ...(Object.keys(rules).length === 0 ? {} : { rules }) }
        : { name, policies: [policy] };
      const made = await (await cloud.compute()).post('/os-server-groups', { server_group: group });
      return fieldsOf(cloud, objectAt(made, 'server_group'));
    },
  },
  {
    words: 'server group list',
    summary: 'List server groups',
    options: [
      { flags: '--all-projects', description: 'from all projects (admin only)' },
      { flags: '--long', description: 'list additional fields' },
      { flags: '--offset <offset>', description: 'leave out this many', kind: 'integer' },
      { flags: '--limit <limit>', description: 'the largest number of groups', kind: 'integer' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const body = await (await cloud.compute()).all('/os-server-groups', 'server_groups', {
        all_projects: input.flag('all-projects') ? true : null,
        offset: input.integer('offset'),
        limit: input.integer('limit'),
      });
      const single = cloud.supports(64);
      const long = input.flag('long');
      return {
        columns: ['ID', 'Name', single ? 'Policy' : 'Policies', ...(long ? ['Members', 'Project Id', 'User Id'] : [])],
        rows: body.map((group) => [
          group.id ?? null,
          group.name ?? null,
          single ? (group.policy ?? null) : listOf(list(group.policies)),
          ...(long ? [listOf(list(group.members)), group.project_id ?? null, group.user_id ?? null] : []),
        ]),
      };
    },
  },
  {
    words: 'server group show',
    summary: 'Show a server group',
    arguments: ['<server-group>'],
    output: 'show',
    run: async (cloud, input) => fieldsOf(cloud, await find(cloud, 'group', input.argument('server-group'))),
  },
  {
    words: 'server group delete',
    summary: 'Delete server group(s)',
    arguments: ['<server-group...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const compute = await cloud.compute();
      await forEach(input.arguments('server-group'), terminal, async (given) => {
        await compute.delete(`/os-server-groups/${await findId(cloud, 'group', given)}`);
      });
    },
  },
  member('add', 'Put a server (back) into a group; nothing moves, a violation of the policy is shown'),
  member('remove', 'Take a server out of its group, so that it may be moved where the policy forbids'),
];

/** The override of a group's rule: OpenStack has no words for it. */
function member(what: 'add' | 'remove', summary: string): Command {
  return {
    words: `server group ${what} server`,
    summary,
    arguments: ['<server-group>', '<server>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const godwit = await cloud.service('godwit');
      const [group, server] = [
        await findId(cloud, 'group', input.argument('server-group')),
        await findId(cloud, 'server', input.argument('server')),
      ];
      const path = `/server-groups/${group}/members/${server}`;
      const body = what === 'add' ? await godwit.post(path) : await godwit.delete(path);
      const violations = objectAt(body, 'server_group').violations ?? objectAt(body, 'group').violations;
      if (what === 'add' && Array.isArray(violations) && violations.length > 0)
        terminal.err(
          'The group’s policy is violated now:\n' +
            violations.map((each) => `  ${textAt(each as Json, 'sentence') || JSON.stringify(each)}\n`).join(''),
        );
      if (group === '') throw new CommandError('The group has no id.');
    },
  };
}
