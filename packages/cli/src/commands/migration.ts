import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { followRecord } from '../follow-migration.ts';
import { numberAt, objectAt, objectsAt, textAt } from '../json.ts';
import { migrationRecord } from '../migration-record-text.ts';
import { migrationEnd } from '../migration-text.ts';

const id = (given: string): string => encodeURIComponent(given);

export const commands: readonly Command[] = [
  {
    words: 'migration list',
    summary: 'List migrations with what was measured, newest first',
    options: [
      { flags: '--server <server>', description: 'only of this server (name or ID)' },
      { flags: '--host <host>', description: 'only from or to this host' },
      { flags: '--status <status>', description: 'only with this status' },
      { flags: '--limit <count>', description: 'the largest number', kind: 'integer' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const server = input.text('server');
      const { findId } = await import('../cloud/find.ts');
      const body = await (await cloud.service('godwit')).get('/migrations', {
        server: server === null ? null : await findId(cloud, 'server', server, { all_tenants: true }),
        host: input.text('host'),
        status: input.text('status'),
        limit: input.integer('limit'),
      });
      return {
        columns: ['ID', 'Server', 'Type', 'From', 'To', 'Status', 'Phase', 'Blackout ms', 'MiB', 'Rounds', 'Cause', 'Created At'],
        rows: objectsAt(body, 'migrations').map((each) => {
          const measures = objectAt(each, 'measures');
          const bytes =
            (numberAt(objectAt(each, 'memory'), 'processedBytes') ?? 0) + (numberAt(objectAt(each, 'disk'), 'processedBytes') ?? 0);
          return [
            each.id ?? null,
            each.serverName ?? null,
            each.type ?? null,
            textAt(objectAt(each, 'source'), 'name'),
            textAt(objectAt(each, 'destination'), 'name'),
            each.status ?? null,
            each.phase ?? null,
            rounded(numberAt(measures, 'blackoutMs')),
            Math.round(bytes / 1_048_576),
            numberAt(measures, 'rounds'),
            textAt(objectAt(each, 'outcome'), 'cause'),
            each.createdAt ?? null,
          ];
        }),
      };
    },
  },
  {
    words: 'migration show',
    summary: 'Show the whole record of a migration: timeline, measures, verdict of every host, where the guest runs',
    arguments: ['<migration>'],
    output: 'show',
    run: async (cloud, input) => {
      const record = objectAt(await (await cloud.service('godwit')).get(`/migrations/${id(input.argument('migration'))}`), 'migration');
      return migrationRecord(record);
    },
  },
  {
    words: 'migration watch',
    summary: 'Follow a migration until its record has ended',
    arguments: ['<migration>'],
    output: 'none',
    run: async (cloud, input, terminal) => followRecord(cloud, id(input.argument('migration')), terminal),
  },
  {
    words: 'migration abort',
    summary: 'Abort a migration: the guest stays where it runs',
    arguments: ['<migration>'],
    options: [{ flags: '--wait', description: 'wait until the record has ended' }],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const given = id(input.argument('migration'));
      await (await cloud.service('godwit')).post(`/migrations/${given}/abort`);
      if (!input.flag('wait')) return;
      try {
        await followRecord(cloud, given, terminal);
      } catch (error) {
        // Cancelled is what was asked for.
        const record = objectAt(await (await cloud.service('godwit')).get(`/migrations/${given}`), 'migration');
        if (!(error instanceof CommandError) || textAt(record, 'status') !== 'cancelled') throw error;
        terminal.out(`${migrationEnd(record)?.sentence ?? 'cancelled'}\n`);
      }
    },
  },
  {
    words: 'migration force complete',
    summary: 'Let a migration finish now: the guest stands still until the rest is sent',
    arguments: ['<migration>'],
    output: 'none',
    run: async (cloud, input) => {
      await (await cloud.service('godwit')).post(`/migrations/${id(input.argument('migration'))}/force-complete`);
    },
  },
];

const rounded = (value: number | null): number | null => (value === null ? null : Math.round(value));
