import type { Cloud } from '../../cloud/cloud.ts';
import { findId } from '../../cloud/find.ts';
import type { Command, Input } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';
import { type JsonObject, objectAt, textAt } from '../../json.ts';
import { idInDomain, projectDomain, userDomain } from '../in-domain.ts';

const uuid = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

const fields = [
  ['Source Node', 'source_node'],
  ['Dest Node', 'dest_node'],
  ['Source Compute', 'source_compute'],
  ['Dest Compute', 'dest_compute'],
  ['Dest Host', 'dest_host'],
  ['Status', 'status'],
  ['Server UUID', 'instance_uuid'],
  ['Old Flavor', 'old_instance_type_id'],
  ['New Flavor', 'new_instance_type_id'],
] as const;

export const serverMigrations: readonly Command[] = [
  {
    words: 'server migration list',
    summary: 'List server migrations',
    options: [
      { flags: '--server <server>', description: 'only migrations of this server (name or ID)' },
      { flags: '--host <host>', description: 'only migrations from or to this host' },
      { flags: '--status <status>', description: 'only migrations with this status' },
      {
        flags: '--type <type>',
        description: 'only migrations of this type',
        choices: ['evacuation', 'live-migration', 'cold-migration', 'resize'],
      },
      { flags: '--marker <migration>', description: 'the last migration of the previous page (2.59)' },
      { flags: '--limit <limit>', description: 'the largest number of migrations (2.59)', kind: 'integer' },
      { flags: '--changes-since <time>', description: 'only migrations changed after a time (2.59)' },
      { flags: '--changes-before <time>', description: 'only migrations changed before a time (2.66)' },
      { flags: '--project <project>', description: 'only migrations of this project (2.80)' },
      projectDomain,
      { flags: '--user <user>', description: 'only migrations by this user (2.80)' },
      userDomain,
    ],
    output: 'list',
    run: async (cloud, input) => {
      for (const name of ['marker', 'limit', 'changes-since'])
        if (input.text(name) !== null) cloud.require(59, `support the --${name} option`);
      if (input.text('changes-before') !== null) cloud.require(66, 'support the --changes-before option');
      for (const name of ['project', 'user']) if (input.text(name) !== null) cloud.require(80, `support the --${name} option`);
      const by = async (kind: 'server' | 'project' | 'user') => {
        const given = input.text(kind);
        if (given === null) return null;
        return kind === 'server' ? findId(cloud, kind, given, { all_tenants: true }) : idInDomain(cloud, input, kind, given);
      };
      const type = input.text('type');
      const migrations = await (await cloud.compute()).all('/os-migrations', 'migrations', {
        instance_uuid: await by('server'),
        host: input.text('host'),
        status: input.text('status'),
        migration_type: type === 'cold-migration' ? 'migration' : type,
        marker: input.text('marker'),
        limit: input.integer('limit'),
        'changes-since': input.text('changes-since'),
        'changes-before': input.text('changes-before'),
        project_id: await by('project'),
        user_id: await by('user'),
      });
      const columns: (readonly [string, string])[] = [
        ...(cloud.supports(23) ? [['Id', 'id'] as const] : []),
        ...(cloud.supports(59) ? [['UUID', 'uuid'] as const] : []),
        ...fields,
        ...(cloud.supports(23) ? [['Type', 'migration_type'] as const] : []),
        ...(input.text('project') === null ? [] : [['Project', 'project_id'] as const]),
        ...(input.text('user') === null ? [] : [['User', 'user_id'] as const]),
        ['Created At', 'created_at'],
        ['Updated At', 'updated_at'],
      ];
      return {
        columns: columns.map(([title]) => title),
        rows: migrations.map((migration) => columns.map(([, key]) => (key in migration ? (migration[key] ?? null) : ''))),
      };
    },
  },
  {
    words: 'server migration show',
    summary: 'Show an in-progress live migration of a server',
    arguments: ['<server>', '<migration>'],
    output: 'show',
    run: async (cloud, input) => {
      cloud.require(24, 'support the server migration show command');
      const { server, migration } = await resolve(cloud, input, 'retrieve server migrations by UUID');
      const body = objectAt(await (await cloud.compute()).get(`/servers/${server}/migrations/${migration}`), 'migration');
      const shown = [
        ['ID', 'id'],
        ['Server UUID', 'server_uuid'],
        ['Status', 'status'],
        ['Source Compute', 'source_compute'],
        ['Source Node', 'source_node'],
        ['Dest Compute', 'dest_compute'],
        ['Dest Host', 'dest_host'],
        ['Dest Node', 'dest_node'],
        ['Memory Total Bytes', 'memory_total_bytes'],
        ['Memory Processed Bytes', 'memory_processed_bytes'],
        ['Memory Remaining Bytes', 'memory_remaining_bytes'],
        ['Disk Total Bytes', 'disk_total_bytes'],
        ['Disk Processed Bytes', 'disk_processed_bytes'],
        ['Disk Remaining Bytes', 'disk_remaining_bytes'],
        ['Created At', 'created_at'],
        ['Updated At', 'updated_at'],
        ...(cloud.supports(59) ? [['UUID', 'uuid'] as const] : []),
        ...(cloud.supports(80) ? [['User ID', 'user_id'] as const, ['Project ID', 'project_id'] as const] : []),
      ] as const;
      return shown.map(([title, key]) => [title, body[key] ?? null] as const);
    },
  },
  {
    words: 'server migration abort',
    summary: 'Cancel an ongoing live migration',
    arguments: ['<server>', '<migration>'],
    output: 'none',
    run: async (cloud, input) => {
      cloud.require(24, 'support the server migration abort command');
      const { server, migration } = await resolve(cloud, input, 'abort server migrations by UUID');
      await (await cloud.compute()).delete(`/servers/${server}/migrations/${migration}`);
    },
  },
  {
    words: 'server migration force complete',
    summary: 'Force an ongoing live migration to complete',
    arguments: ['<server>', '<migration>'],
    output: 'none',
    run: async (cloud, input) => {
      cloud.require(22, 'support the server migration force complete command');
      const { server, migration } = await resolve(cloud, input, 'abort server migrations by UUID');
      await (await cloud.compute()).post(`/servers/${server}/migrations/${migration}/action`, { force_complete: null });
    },
  },
];

/** The server's id and the integer by which the API knows its migration, which may be given as a UUID from 2.59 on. */
async function resolve(cloud: Cloud, input: Input, what: string): Promise<{ readonly server: string; readonly migration: string }> {
  const given = input.argument('migration');
  const isNumber = /^\d+$/.test(given);
  if (!isNumber && !uuid.test(given))
    throw new CommandError('The <migration> argument must be an ID or UUID', { exitCode: exitCodes.usage });
  if (!isNumber) cloud.require(59, what);
  const server = await findId(cloud, 'server', input.argument('server'));
  if (isNumber) return { server, migration: given };
  const running: readonly JsonObject[] = await (await cloud.compute()).all(`/servers/${server}/migrations`, 'migrations');
  const found = running.find((each) => each.uuid === given);
  if (found === undefined)
    throw new CommandError(`In-progress live migration ${given} is not found for server ${server}.`, {
      next: `\`godwit server migration list --server ${server}\` shows how it ended.`,
    });
  return { server, migration: textAt(found, 'id') };
}
