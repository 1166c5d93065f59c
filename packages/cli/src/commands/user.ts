import type { Cloud } from '../cloud/cloud.ts';
import { find, findId } from '../cloud/find.ts';
import type { Command, CommandOption, Input } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, type JsonObject, objectAt, textAt } from '../json.ts';
import { forEach } from './for-each.ts';
import { createOrShow, domainOption, domainQuery, enabledOf, enableOptions, identityFields, orShow } from './identity-fields.ts';
import { idInDomain, projectDomain } from './in-domain.ts';

const attributes: readonly CommandOption[] = [
  { flags: '--project <project>', description: 'default project (name or ID)' },
  projectDomain,
  { flags: '--password <password>', description: 'password' },
  { flags: '--email <email>', description: 'email address' },
  { flags: '--description <description>', description: 'description' },
  ...enableOptions,
];

async function attributesOf(cloud: Cloud, input: Input): Promise<Record<string, Json>> {
  const given: Record<string, Json> = {};
  for (const key of ['password', 'email', 'description']) {
    const value = input.text(key);
    if (value !== null) given[key] = value;
  }
  const project = input.text('project');
  if (project !== null) given.default_project_id = await idInDomain(cloud, input, 'project', project);
  const enabled = enabledOf(input);
  if (enabled !== null) given.enabled = enabled;
  return given;
}

async function usersOf(cloud: Cloud, project: string): Promise<readonly JsonObject[]> {
  const identity = await cloud.service('identity');
  const id = await findId(cloud, 'project', project);
  const assignments = await identity.all('/role_assignments', 'role_assignments', { 'scope.project.id': id });
  const ids = new Set(assignments.map((each) => textAt(objectAt(each, 'user'), 'id')).filter((each) => each !== ''));
  return Promise.all([...ids].map(async (user) => find(cloud, 'user', user)));
}

export const commands: readonly Command[] = [
  {
    words: 'user list',
    summary: 'List users',
    options: [
      domainOption,
      { flags: '--project <project>', description: 'only users of this project' },
      { flags: '--long', description: 'list additional fields' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const project = input.text('project');
      const users =
        project === null
          ? await (await cloud.service('identity')).all('/users', 'users', await domainQuery(cloud, input))
          : await usersOf(cloud, project);
      const columns = [
        ['ID', 'id'],
        ['Name', 'name'],
        ...(input.flag('long')
          ? [
              ['Project', 'default_project_id'] as const,
              ['Domain', 'domain_id'] as const,
              ['Description', 'description'] as const,
              ['Email', 'email'] as const,
              ['Enabled', 'enabled'] as const,
            ]
          : []),
      ] as const;
      return {
        columns: columns.map(([title]) => title),
        rows: users.map((each) => columns.map(([, key]) => (key in each ? (each[key] ?? null) : ''))),
      };
    },
  },
  {
    words: 'user show',
    summary: 'Display user details',
    arguments: ['<user>'],
    options: [domainOption],
    output: 'show',
    run: async (cloud, input) => identityFields(await find(cloud, 'user', input.argument('user'), await domainQuery(cloud, input))),
  },
  {
    words: 'user create',
    summary: 'Create new user',
    arguments: ['<name>'],
    options: [domainOption, ...attributes, orShow],
    output: 'show',
    run: async (cloud, input, terminal) => {
      const { domain_id } = await domainQuery(cloud, input);
      const given = await attributesOf(cloud, input);
      if (given.password === undefined)
        terminal.err('No password was supplied, authentication will fail when a user does not have a password.\n');
      const user = { name: input.argument('name'), enabled: true, ...given, ...(domain_id === null ? {} : { domain_id }) };
      return createOrShow(
        input,
        async () => objectAt(await (await cloud.service('identity')).post('/users', { user }), 'user'),
        async () => find(cloud, 'user', user.name, { domain_id }),
      );
    },
  },
  {
    words: 'user set',
    summary: 'Set user properties',
    arguments: ['<user>'],
    options: [{ flags: '--name <name>', description: 'new name' }, domainOption, ...attributes],
    output: 'none',
    run: async (cloud, input) => {
      const name = input.text('name');
      const change = { ...(name === null ? {} : { name }), ...(await attributesOf(cloud, input)) };
      const id = await findId(cloud, 'user', input.argument('user'), await domainQuery(cloud, input));
      await (await cloud.service('identity')).patch(`/users/${id}`, { user: change });
    },
  },
  {
    words: 'user password set',
    summary: 'Change the password of the signed-in user',
    options: [
      { flags: '--password <new-password>', description: 'new password', required: true },
      { flags: '--original-password <original-password>', description: 'current password', required: true },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const [password, original] = [input.text('password') ?? '', input.text('original-password') ?? ''];
      if (password === '') throw new CommandError('The new password is empty.', { exitCode: exitCodes.usage });
      const { userId } = await cloud.token();
      await (await cloud.service('identity')).post(`/users/${userId}/password`, { user: { password, original_password: original } });
    },
  },
  {
    words: 'user delete',
    summary: 'Delete user(s)',
    arguments: ['<user...>'],
    options: [domainOption],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const identity = await cloud.service('identity');
      const query = await domainQuery(cloud, input);
      await forEach(input.arguments('user'), terminal, async (given) => {
        await identity.delete(`/users/${await findId(cloud, 'user', given, query)}`);
      });
    },
  },
];
