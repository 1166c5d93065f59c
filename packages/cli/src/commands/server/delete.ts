import { findId } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import { waitUntilGone } from '../../wait-for-server.ts';
import { forEach } from '../for-each.ts';

export const serverDelete: Command = {
  words: 'server delete',
  summary: 'Delete server(s)',
  arguments: ['<server...>'],
  options: [
    { flags: '--force', description: 'delete at once, past a soft deletion' },
    { flags: '--all-projects', description: 'search in all projects (admin only)' },
    { flags: '--wait', description: 'wait until it is gone' },
  ],
  output: 'none',
  run: async (cloud, input, terminal) => {
    const compute = await cloud.compute();
    await forEach(input.arguments('server'), terminal, async (given) => {
      const id = await findId(cloud, 'server', given, input.flag('all-projects') ? { all_tenants: true } : {});
      if (input.flag('force')) await compute.post(`/servers/${id}/action`, { forceDelete: null });
      else await compute.delete(`/servers/${id}`);
      if (input.flag('wait')) await waitUntilGone(cloud, id, terminal);
    });
  },
};
