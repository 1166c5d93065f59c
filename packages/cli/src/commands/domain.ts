import { find } from '../cloud/find.ts';
import type { Command } from '../command.ts';
import { identityFields } from './identity-fields.ts';

export const commands: readonly Command[] = [
  {
    words: 'domain list',
    summary: 'List domains',
    options: [
      { flags: '--name <name>', description: 'only of this name' },
      { flags: '--enabled', description: 'only enabled ones' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const domains = await (await cloud.service('identity')).all('/domains', 'domains', {
        name: input.text('name'),
        enabled: input.flag('enabled') ? true : null,
      });
      return {
        columns: ['ID', 'Name', 'Enabled', 'Description'],
        rows: domains.map((domain) => [domain.id ?? null, domain.name ?? null, domain.enabled ?? null, domain.description ?? null]),
      };
    },
  },
  {
    words: 'domain show',
    summary: 'Display domain details',
    arguments: ['<domain>'],
    output: 'show',
    run: async (cloud, input) => identityFields(await find(cloud, 'domain', input.argument('domain'))),
  },
];
