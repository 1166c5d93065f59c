import type { Command } from '../command.ts';
import { objectAt, objectsAt, textAt } from '../json.ts';

export const commands: readonly Command[] = [
  {
    words: 'audit list',
    summary: 'List who changed what, and who moved what where, newest first',
    options: [
      { flags: '--server <server>', description: 'only of this server (name or ID)' },
      { flags: '--user <user>', description: 'only by this user (name or ID)' },
      { flags: '--host <host>', description: 'only moves from or to this host' },
      { flags: '--moves', description: 'only moves, accepted and ended' },
      { flags: '--request <id>', description: 'only of this request (req-…)' },
      { flags: '--since <time>', description: 'only from this time on (ISO 8601)' },
      { flags: '--limit <count>', description: 'the largest number, default 100', kind: 'integer' },
      { flags: '--long', description: 'with the request’s id and address, and what was asked for' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const server = input.text('server');
      const { findId } = await import('../cloud/find.ts');
      const body = await (await cloud.service('godwit')).get('/audit', {
        server: server === null ? null : await findId(cloud, 'server', server, { all_tenants: true }),
        user: input.text('user'),
        host: input.text('host'),
        kind: input.flag('moves') ? 'migration' : null,
        request: input.text('request'),
        since: input.text('since'),
        limit: input.integer('limit'),
      });
      const long = input.flag('long');
      return {
        columns: ['At', 'User', 'Action', 'Server', 'From', 'To', 'Status', 'Cause', ...(long ? ['Request ID', 'Address', 'Details'] : [])],
        rows: objectsAt(body, 'entries').map((entry) => [
          entry.at ?? null,
          textAt(objectAt(entry, 'user'), 'name'),
          entry.action ?? null,
          textAt(objectAt(entry, 'server'), 'name') || textAt(objectAt(entry, 'server'), 'id'),
          entry.source ?? null,
          entry.destination ?? null,
          entry.status ?? null,
          entry.cause ?? null,
          ...(long ? [entry.requestId ?? null, entry.address ?? null, entry.details === null ? '' : JSON.stringify(entry.details)] : []),
        ]),
      };
    },
  },
];
