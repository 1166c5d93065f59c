import { find } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import { textAt } from '../../json.ts';
import { waitForServer } from '../../wait-for-server.ts';
import { forEach } from '../for-each.ts';

const shelved = ['SHELVED', 'SHELVED_OFFLOADED'];

/** What is shelved already is left so, and `--offload` waits for the shelving before it frees the host. */
export const serverShelve: Command = {
  words: 'server shelve',
  summary: 'Shelve server(s): their disks become images',
  arguments: ['<server...>'],
  options: [
    { flags: '--offload', description: 'free the host at once, where the cloud would wait with it (admin only)' },
    { flags: '--wait', description: 'wait until it is done' },
  ],
  output: 'none',
  run: async (cloud, input, terminal) => {
    const compute = await cloud.compute();
    await forEach(input.arguments('server'), terminal, async (given) => {
      const server = await find(cloud, 'server', given);
      const id = textAt(server, 'id');
      let status = textAt(server, 'status');
      if (!shelved.includes(status)) {
        await compute.post(`/servers/${id}/action`, { shelve: null });
        if (!input.flag('wait') && !input.flag('offload')) return;
        status = textAt(await waitForServer(cloud, id, shelved, terminal), 'status');
      }
      if (!input.flag('offload') || status === 'SHELVED_OFFLOADED') return;
      await compute.post(`/servers/${id}/action`, { shelveOffload: null });
      if (input.flag('wait')) await waitForServer(cloud, id, ['SHELVED_OFFLOADED'], terminal);
    });
  },
};
