import { find, findId } from '../cloud/find.ts';
import { HttpError } from '../cloud/http.ts';
import type { Command } from '../command.ts';
import { type Json, objectAt } from '../json.ts';
import { forEach } from './for-each.ts';
import { createOrShow, domainOption, domainQuery, enabledOf, enableOptions, identityFields, orShow } from './identity-fields.ts';

export const commands: readonly Command[] = [
  {
    words: 'project list',
    summary: 'List projects',
    options: [
      domainOption,
      { flags: '--user <user>', description: 'only projects of this user' },
      { flags: '--my-projects', description: 'only projects of the signed-in user' },
      { flags: '--long', description: 'list additional fields' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const identity = await cloud.service('identity');
      const token = await cloud.token();
      const user = input.text('user');
      const of = input.flag('my-projects')
        ? token.userId
        : user === null
          ? null
          : await findId(cloud, 'user', user, await domainQuery(cloud, input));
      const ofUser = async (id: string) => identity.all(`/users/${id}/projects`, 'projects');
      const all = async () => {
        try {
          return await identity.all('/projects', 'projects', await domainQuery(cloud, input));
        } catch (error) {
          // Who may not list all projects is shown the own ones.
          if (error instanceof HttpError && error.status === 403 && input.text('domain') === null) return ofUser(token.userId);
          throw error;
        }
      };
      const projects = of === null ? await all() : await ofUser(of);
      const columns = [
        ['ID', 'id'],
        ['Name', 'name'],
        ...(input.flag('long')
          ? [['Domain ID', 'domain_id'] as const, ['Description', 'description'] as const, ['Enabled', 'enabled'] as const]
          : []),
      ] as const;
      return { columns: columns.map(([title]) => title), rows: projects.map((each) => columns.map(([, key]) => each[key] ?? null)) };
    },
  },
  {
    words: 'project show',
    summary: 'Display project details',
    arguments: ['<project>'],
    options: [domainOption],
    output: 'show',
    run: async (cloud, input) => identityFields(await find(cloud, 'project', input.argument('project'), await domainQuery(cloud, input))),
  },
  {
    words: 'project create',
    summary: 'Create new project',
    arguments: ['<name>'],
    options: [domainOption, { flags: '--description <description>', description: 'description' }, ...enableOptions, orShow],
    output: 'show',
    run: async (cloud, input) => {
      const { domain_id } = await domainQuery(cloud, input);
      const project = {
        name: input.argument('name'),
        enabled: enabledOf(input) ?? true,
        ...(input.text('description') === null ? {} : { description: input.text('description') }),
        ...(domain_id === null ? {} : { domain_id }),
      };
      return createOrShow(
        input,
        async () => objectAt(await (await cloud.service('identity')).post('/projects', { project }), 'project'),
        async () => find(cloud, 'project', project.name, { domain_id }),
      );
    },
  },
  {
    words: 'project set',
    summary: 'Set project properties',
    arguments: ['<project>'],
    options: [
      { flags: '--name <name>', description: 'new name' },
      domainOption,
      { flags: '--description <description>', description: 'new description' },
      ...enableOptions,
    ],
    output: 'none',
    run: async (cloud, input) => {
      const enabled = enabledOf(input);
      const change: Record<string, Json> = {};
      for (const key of ['name', 'description']) {
        const value = input.text(key);
        if (value !== null) change[key] = value;
      }
      if (enabled !== null) change.enabled = enabled;
      const id = await findId(cloud, 'project', input.argument('project'), await domainQuery(cloud, input));
      await (await cloud.service('identity')).patch(`/projects/${id}`, { project: change });
    },
  },
  {
    words: 'project delete',
    summary: 'Delete project(s)',
    arguments: ['<project...>'],
    options: [domainOption],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const identity = await cloud.service('identity');
      const query = await domainQuery(cloud, input);
      await forEach(input.arguments('project'), terminal, async (given) => {
        await identity.delete(`/projects/${await findId(cloud, 'project', given, query)}`);
      });
    },
  },
];
