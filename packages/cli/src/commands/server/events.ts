import type { Cloud } from '../../cloud/cloud.ts';
import { findId } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import { CommandError } from '../../command-error.ts';
import { objectAt } from '../../json.ts';

const uuid = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** A deleted server's events are still to be read, by its id. */
async function serverId(cloud: Cloud, given: string): Promise<string> {
  try {
    return await findId(cloud, 'server', given);
  } catch (error) {
    if (error instanceof CommandError && uuid.test(given)) return given;
    throw error;
  }
}

export const serverEvents: readonly Command[] = [
  {
    words: 'server event list',
    summary: 'List recent events of a server',
    arguments: ['<server>'],
    options: [
      { flags: '--long', description: 'list additional fields' },
      { flags: '--changes-since <time>', description: 'only events changed after a time (2.58)' },
      { flags: '--changes-before <time>', description: 'only events changed before a time (2.66)' },
      { flags: '--marker <request-id>', description: 'the last event of the previous page (2.58)' },
      { flags: '--limit <num-events>', description: 'the largest number of events (2.58)', kind: 'integer' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      for (const name of ['marker', 'limit', 'changes-since'])
        if (input.text(name) !== null) cloud.require(58, `support the --${name} option`);
      if (input.text('changes-before') !== null) cloud.require(66, 'support the --changes-before option');
      const id = await serverId(cloud, input.argument('server'));
      const actions = await (await cloud.compute()).all(`/servers/${id}/os-instance-actions`, 'instanceActions', {
        marker: input.text('marker'),
        limit: input.integer('limit'),
        'changes-since': input.text('changes-since'),
        'changes-before': input.text('changes-before'),
      });
      const fields = [
        ['Request ID', 'request_id'],
        ['Server ID', 'instance_uuid'],
        ['Action', 'action'],
        ['Start Time', 'start_time'],
        ...(input.flag('long')
          ? [['Message', 'message'] as const, ['Project ID', 'project_id'] as const, ['User ID', 'user_id'] as const]
          : []),
      ] as const;
      return { columns: fields.map(([title]) => title), rows: actions.map((action) => fields.map(([, key]) => action[key] ?? null)) };
    },
  },
  {
    words: 'server event show',
    summary: 'Show one event of a server: what was done, when, and with what result',
    arguments: ['<server>', '<request-id>'],
    output: 'show',
    run: async (cloud, input) => {
      const id = await serverId(cloud, input.argument('server'));
      const request = encodeURIComponent(input.argument('request-id'));
      const action = objectAt(await (await cloud.compute()).get(`/servers/${id}/os-instance-actions/${request}`), 'instanceAction');
      return Object.entries(action).toSorted(([a], [b]) => (a < b ? -1 : 1));
    },
  },
];
