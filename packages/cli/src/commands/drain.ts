import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { followOperation } from '../follow-operation.ts';
import { numberAt, objectAt, objectsAt, textAt } from '../json.ts';
import { operationLine, operationName } from '../operation-text.ts';

/** What may be asked of a fleet operation under way, and what it does. */
const operationCommands = {
  pause: 'Begin nothing new; what moves goes on',
  resume: 'Go on with a paused operation',
  abort: 'Cancel what has not begun',
  retry: 'Take up what failed or was excluded, alone',
} as const;

export const commands: readonly Command[] = [
  {
    words: 'drain list',
    summary: 'List drains, bulk moves and the other fleet operations, newest first',
    options: [
      { flags: '--open', description: 'only what has not ended' },
      { flags: '--host <host>', description: 'only what concerns this host' },
      {
        flags: '--kind <kind>',
        description: 'only of this kind',
        choices: ['bulk', 'drain', 'maintenance', 'rolling', 'restore', 'evacuate'],
      },
      { flags: '--limit <count>', description: 'the largest number', kind: 'integer' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const body = await (await cloud.service('godwit')).get('/operations', {
        kind: input.text('kind'),
        state: input.flag('open') ? 'open' : null,
        host: input.text('host'),
        limit: input.integer('limit'),
      });
      return {
        columns: ['ID', 'Kind', 'State', 'Moved', 'Failed', 'Reason', 'Created At'],
        rows: objectsAt(body, 'operations').map((each) => {
          const counts = objectAt(each, 'counts');
          return [
            each.id ?? null,
            operationName(each),
            each.state ?? null,
            numberAt(counts, 'done') ?? 0,
            (numberAt(counts, 'failed') ?? 0) + (numberAt(counts, 'excluded') ?? 0),
            each.reason ?? null,
            each.createdAt ?? null,
          ];
        }),
      };
    },
  },
  {
    words: 'drain show',
    summary: 'Show a fleet operation: every server, where it went, and why not',
    arguments: ['<operation>'],
    output: 'list',
    run: async (cloud, input, terminal) => {
      const operation = objectAt(
        await (await cloud.service('godwit')).get(`/operations/${encodeURIComponent(input.argument('operation'))}`),
        'operation',
      );
      terminal.err(`${operationLine(operation)}\n${textAt(operation, 'sentence')}\n`);
      return {
        columns: ['#', 'Server', 'From', 'Planned', 'To', 'How', 'State', 'Why'],
        rows: objectsAt(operation, 'items').map((item) => [
          (numberAt(item, 'position') ?? 0) + 1,
          textAt(objectAt(item, 'server'), 'name'),
          textAt(objectAt(item, 'source'), 'name'),
          textAt(objectAt(item, 'planned'), 'name'),
          textAt(objectAt(item, 'destination'), 'name'),
          item.method ?? null,
          item.state ?? null,
          textAt(item, 'note') ||
            [textAt(objectAt(item, 'cause'), 'code'), textAt(objectAt(item, 'cause'), 'sentence')].filter((each) => each !== '').join(': '),
        ]),
      };
    },
  },
  {
    words: 'drain watch',
    summary: 'Follow a fleet operation until it has ended',
    arguments: ['<operation>'],
    output: 'none',
    run: async (cloud, input, terminal) => followOperation(cloud, encodeURIComponent(input.argument('operation')), terminal),
  },
  {
    words: 'drain done',
    summary: 'Rolling maintenance: the work on this host is done, bring it back',
    arguments: ['<operation>', '<host>'],
    output: 'none',
    run: async (cloud, input) => {
      const [operation, host] = [input.argument('operation'), input.argument('host')].map((each) => encodeURIComponent(each));
      await (await cloud.service('godwit')).post(`/operations/${operation}/hosts/${host}/done`);
    },
  },
  ...Object.entries(operationCommands).map(
    ([word, summary]): Command => ({
      words: `drain ${word}`,
      summary,
      arguments: ['<operation>'],
      output: 'none',
      run: async (cloud, input, terminal) => {
        const body = await (await cloud.service('godwit')).post(`/operations/${encodeURIComponent(input.argument('operation'))}/${word}`);
        terminal.out(`${operationLine(objectAt(body, 'operation'))}\n`);
      },
    }),
  ),
  {
    words: 'balance show',
    summary: 'Advise moves that relieve contention, each with its cost; --apply carries them out',
    options: [{ flags: '--apply', description: 'begin the advised moves as a bulk operation' }],
    output: 'list',
    run: async (cloud, input, terminal) => {
      const godwit = await cloud.service('godwit');
      const advice = objectAt(await godwit.get('/balance'), 'advice');
      const moves = objectsAt(advice, 'moves');
      terminal.err(`${textAt(advice, 'sentence')}\n`);
      if (input.flag('apply')) {
        if (moves.length === 0) throw new CommandError('There is nothing to carry out.');
        const items = moves.map((move) => ({
          server: textAt(objectAt(move, 'server'), 'id'),
          destination: textAt(objectAt(move, 'destination'), 'name'),
        }));
        const operation = objectAt(await godwit.post('/operations', { kind: 'bulk', items }), 'operation');
        terminal.err(`Follow it with \`godwit drain watch ${textAt(operation, 'id')}\`.\n`);
      }
      return {
        columns: ['Server', 'From', 'To', 'Link ms', 'Blackout ms', 'Why'],
        rows: moves.map((move) => [
          textAt(objectAt(move, 'server'), 'name'),
          textAt(objectAt(move, 'source'), 'name'),
          textAt(objectAt(move, 'destination'), 'name'),
          numberAt(objectAt(move, 'cost'), 'linkMs'),
          numberAt(objectAt(move, 'cost'), 'blackoutMs'),
          textAt(move, 'why'),
        ]),
      };
    },
  },
];
