import type { Cloud } from '../cloud/cloud.ts';
import { find, findId } from '../cloud/find.ts';
import type { Command, CommandOption, Input } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type JsonObject, objectAt, textAt } from '../json.ts';
import { forEach } from './for-each.ts';
import { createOrShow, identityFields, orShow } from './identity-fields.ts';
import { idInDomain, projectDomain, userDomain } from './in-domain.ts';

const scope: readonly CommandOption[] = [
  { flags: '--user <user>', description: 'user (name or ID)' },
  userDomain,
  { flags: '--project <project>', description: 'within this project (name or ID)' },
  projectDomain,
  { flags: '--domain <domain>', description: 'within this domain (name or ID)' },
];

async function grantPath(cloud: Cloud, input: Input): Promise<string> {
  const [user, project, domain] = [input.text('user'), input.text('project'), input.text('domain')];
  if (user === null || (project === null) === (domain === null))
    throw new CommandError('Role not changed, incorrect set of arguments provided: --user and one of --project and --domain are needed.', {
      exitCode: exitCodes.usage,
    });
  const role = await findId(cloud, 'role', input.argument('role'));
  const where =
    project === null
      ? `/domains/${await findId(cloud, 'domain', domain ?? '')}`
      : `/projects/${await idInDomain(cloud, input, 'project', project)}`;
  return `${where}/users/${await idInDomain(cloud, input, 'user', user)}/roles/${role}`;
}

export const commands: readonly Command[] = [
  {
    words: 'role list',
    summary: 'List roles',
    output: 'list',
    run: async (cloud) => {
      const roles = await (await cloud.service('identity')).all('/roles', 'roles');
      return { columns: ['ID', 'Name'], rows: roles.map((role) => [role.id ?? null, role.name ?? null]) };
    },
  },
  {
    words: 'role show',
    summary: 'Display role details',
    arguments: ['<role>'],
    output: 'show',
    run: async (cloud, input) => identityFields(await find(cloud, 'role', input.argument('role'))),
  },
  {
    words: 'role create',
    summary: 'Create new role',
    arguments: ['<role-name>'],
    options: [{ flags: '--description <description>', description: 'description' }, orShow],
    output: 'show',
    run: async (cloud, input) => {
      const description = input.text('description');
      const role = { name: input.argument('role-name'), ...(description === null ? {} : { description }) };
      return createOrShow(
        input,
        async () => objectAt(await (await cloud.service('identity')).post('/roles', { role }), 'role'),
        async () => find(cloud, 'role', role.name),
      );
    },
  },
  {
    words: 'role set',
    summary: 'Set role properties',
    arguments: ['<role>'],
    options: [
      { flags: '--name <name>', description: 'new name' },
      { flags: '--description <description>', description: 'new description' },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const change = Object.fromEntries(
        ['name', 'description'].flatMap((key) => (input.text(key) === null ? [] : [[key, input.text(key)]])),
      );
      await (await cloud.service('identity')).patch(`/roles/${await findId(cloud, 'role', input.argument('role'))}`, { role: change });
    },
  },
  {
    words: 'role delete',
    summary: 'Delete role(s)',
    arguments: ['<role...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const identity = await cloud.service('identity');
      await forEach(input.arguments('role'), terminal, async (given) => {
        await identity.delete(`/roles/${await findId(cloud, 'role', given)}`);
      });
    },
  },
  {
    words: 'role add',
    summary: 'Give a role to a user in a project or domain',
    arguments: ['<role>'],
    options: scope,
    output: 'none',
    run: async (cloud, input) => {
      await (await cloud.service('identity')).put(await grantPath(cloud, input));
    },
  },
  {
    words: 'role remove',
    summary: 'Take a role from a user in a project or domain',
    arguments: ['<role>'],
    options: scope,
    output: 'none',
    run: async (cloud, input) => {
      await (await cloud.service('identity')).delete(await grantPath(cloud, input));
    },
  },
  {
    words: 'role assignment list',
    summary: 'List role assignments',
    options: [
      { flags: '--role <role>', description: 'only of this role' },
      ...scope,
      { flags: '--names', description: 'names instead of ids' },
      { flags: '--effective', description: 'what holds in the end' },
      { flags: '--auth-user', description: 'only of the signed-in user' },
      { flags: '--auth-project', description: 'only of the project signed in to' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const token = await cloud.token();
      const by = async (kind: 'role' | 'user' | 'project' | 'domain') => {
        const given = input.text(kind);
        if (given === null) return null;
        return kind === 'user' || kind === 'project' ? idInDomain(cloud, input, kind, given) : findId(cloud, kind, given);
      };
      const names = input.flag('names');
      const assignments = await (await cloud.service('identity')).all('/role_assignments', 'role_assignments', {
        'role.id': await by('role'),
        'user.id': input.flag('auth-user') ? token.userId : await by('user'),
        'scope.project.id': input.flag('auth-project') ? token.projectId : await by('project'),
        'scope.domain.id': await by('domain'),
        include_names: names ? true : null,
        effective: input.flag('effective') ? true : null,
      });
      return {
        columns: ['Role', 'User', 'Group', 'Project', 'Domain', 'System', 'Inherited'],
        rows: assignments.map((assignment) => {
          const within = objectAt(assignment, 'scope');
          return [
            names ? textAt(objectAt(assignment, 'role'), 'name') : textAt(objectAt(assignment, 'role'), 'id'),
            label(objectAt(assignment, 'user'), names),
            label(objectAt(assignment, 'group'), names),
            label(objectAt(within, 'project'), names),
            names ? textAt(objectAt(within, 'domain'), 'name') : textAt(objectAt(within, 'domain'), 'id'),
            'system' in within ? 'all' : '',
            within['OS-INHERIT:inherited_to'] === 'projects',
          ];
        }),
      };
    },
  },
];

/** `name@domain`, or the id. */
function label(thing: JsonObject, names: boolean): string {
  if (!names) return textAt(thing, 'id');
  const name = textAt(thing, 'name');
  return name === '' ? '' : `${name}@${textAt(objectAt(thing, 'domain'), 'name')}`;
}
