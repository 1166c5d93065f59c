import type { Cloud } from '../cloud/cloud.ts';
import { find } from '../cloud/find.ts';
import type { Command, Input } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, objectAt, textAt } from '../json.ts';

/** Resources of the compute API by the names that the `openstack` command gives them. */
const resources = {
  cores: 'cores',
  instances: 'instances',
  ram: 'ram',
  'key-pairs': 'key_pairs',
  properties: 'metadata_items',
  'server-groups': 'server_groups',
  'server-group-members': 'server_group_members',
  'injected-files': 'injected_files',
  'injected-file-size': 'injected_file_content_bytes',
  'injected-path-size': 'injected_file_path_bytes',
} as const;

/** The project that is named, else one's own. */
async function projectOf(cloud: Cloud, input: Input): Promise<{ readonly id: string; readonly name: string }> {
  const given = input.argument('project');
  if (given === '') {
    const { projectId, projectName } = await ownProject(cloud);
    return { id: projectId, name: projectName };
  }
  const project = await find(cloud, 'project', given);
  return { id: textAt(project, 'id'), name: textAt(project, 'name') };
}

async function ownProject(cloud: Cloud): Promise<{ readonly projectId: string; readonly projectName: string }> {
  const { id } = await cloud.token();
  const body = await (await cloud.service('identity')).with({ 'x-subject-token': id }).get('/auth/tokens');
  const project = objectAt(objectAt(body, 'token'), 'project');
  return { projectId: textAt(project, 'id'), projectName: textAt(project, 'name') };
}

export const commands: readonly Command[] = [
  {
    words: 'quota show',
    summary: 'Show the quotas of a project, or of the class default; -1 is no limit',
    arguments: ['[project]'],
    options: [
      { flags: '--class', description: 'the argument is a class: quotas of everybody who has none of his own' },
      { flags: '--default', description: 'what the project would have without quotas of its own' },
    ],
    output: 'show',
    run: async (cloud, input) => {
      const compute = await cloud.computeAt('2.57');
      const isClass = input.flag('class');
      const project = isClass ? null : await projectOf(cloud, input);
      const name = encodeURIComponent(isClass ? input.argument('project') || 'default' : (project?.id ?? ''));
      const body = isClass
        ? objectAt(await compute.get(`/os-quota-class-sets/${name}`), 'quota_class_set')
        : objectAt(await compute.get(`/os-quota-sets/${name}${input.flag('default') ? '/defaults' : ''}`), 'quota_set');
      const shown = Object.entries(resources).flatMap(([word, key]) =>
        body[key] === undefined ? [] : [[word, body[key] ?? null] as const],
      );
      return [
        ...shown,
        ...(project === null
          ? []
          : ([
              ['project', project.id],
              ['project_name', project.name],
            ] as const)),
      ].toSorted(([a], [b]) => (a < b ? -1 : 1));
    },
  },
  {
    words: 'quota set',
    summary: 'Set the quotas of a project, or of the class default; -1 is no limit',
    arguments: ['<project>'],
    options: [
      { flags: '--class', description: 'the argument is a class' },
      { flags: '--force', description: 'also below what is in use' },
      ...Object.keys(resources).map((word) => ({
        flags: `--${word} <count>`,
        description: word.replaceAll('-', ' '),
        kind: 'integer' as const,
      })),
    ],
    output: 'none',
    run: async (cloud, input) => {
      const limits: Record<string, Json> = {};
      for (const [word, key] of Object.entries(resources)) {
        const value = input.integer(word);
        if (value !== null) limits[key] = value;
      }
      if (Object.keys(limits).length === 0) throw new CommandError('There is nothing to set.', { exitCode: exitCodes.usage });
      // Files are injected no more from 2.57 on, and have no quota there.
      const compute = await cloud.computeAt('2.56');
      if (input.flag('class'))
        await compute.put(`/os-quota-class-sets/${encodeURIComponent(input.argument('project'))}`, { quota_class_set: limits });
      else {
        const { id } = await projectOf(cloud, input);
        await compute.put(`/os-quota-sets/${id}`, { quota_set: { ...limits, ...(input.flag('force') ? { force: true } : {}) } });
      }
    },
  },
];
