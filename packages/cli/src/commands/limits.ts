import { findId } from '../cloud/find.ts';
import type { Command } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { objectAt, objectsAt } from '../json.ts';

export const commands: readonly Command[] = [
  {
    words: 'limits show',
    summary: 'Show compute limits, and what of them is used',
    options: [
      { flags: '--absolute', description: 'absolute limits' },
      { flags: '--rate', description: 'rate limits: none since compute API version 2.1' },
      { flags: '--reserved', description: 'include reservations [only with --absolute]' },
      { flags: '--project <project>', description: 'of this project (name or ID) [only with --absolute]' },
      { flags: '--domain <domain>', description: 'domain of the project (name or ID)' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      if (input.flag('absolute') === input.flag('rate'))
        throw new CommandError('One of --absolute and --rate is required.', { exitCode: exitCodes.usage });
      const [project, domain] = [input.text('project'), input.text('domain')];
      const within = domain === null ? {} : { domain_id: await findId(cloud, 'domain', domain) };
      const answer = await (await cloud.compute()).get('/limits', {
        reserved: input.flag('reserved') ? 1 : null,
        tenant_id: project === null ? null : await findId(cloud, 'project', project, within),
      });
      const limits = objectAt(answer, 'limits');
      if (input.flag('absolute')) return { columns: ['Name', 'Value'], rows: Object.entries(objectAt(limits, 'absolute')) };
      const rates = objectsAt(limits, 'rate').flatMap((rate) =>
        objectsAt(rate, 'limit').map((limit) => [
          limit.verb ?? null,
          rate.uri ?? null,
          limit.value ?? null,
          limit.remaining ?? null,
          limit.unit ?? null,
          limit['next-available'] ?? null,
        ]),
      );
      return { columns: ['Verb', 'URI', 'Value', 'Remain', 'Unit', 'Next Available'], rows: rates };
    },
  },
];
