import type { Command, ShowResult } from '../command.ts';

export const commands: readonly Command[] = [
  {
    words: 'token issue',
    summary: 'Issue new token',
    output: 'show',
    run: async (cloud) => {
      const token = await cloud.freshToken();
      const fields: ShowResult = [
        ...(token.domainId === null ? [] : [['domain_id', token.domainId] as const]),
        ['expires', token.expires.replace(/\.\d+Z$/, '+0000').replace(/Z$/, '+0000')],
        ['id', token.id],
        ...(token.projectId === null ? [] : [['project_id', token.projectId] as const]),
        ['user_id', token.userId],
      ];
      return fields;
    },
  },
  {
    words: 'token revoke',
    summary: 'Revoke existing token',
    arguments: ['<token>'],
    output: 'none',
    run: async (cloud, input) => {
      await (await cloud.service('identity')).with({ 'x-subject-token': input.argument('token') }).delete('/auth/tokens');
    },
  },
];
