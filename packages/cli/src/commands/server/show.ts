import { findId } from '../../cloud/find.ts';
import type { Command, ShowResult } from '../../command.ts';
import { isObject, objectAt } from '../../json.ts';
import { dictionary } from '../../render/cell.ts';
import { serverDetail } from '../../server-detail.ts';

export const serverShow: Command = {
  words: 'server show',
  summary: 'Show a server',
  arguments: ['<server>'],
  options: [
    { flags: '--diagnostics', description: 'what the hypervisor tells of the running guest' },
    { flags: '--topology', description: 'include the topology (2.78)' },
  ],
  output: 'show',
  run: async (cloud, input): Promise<ShowResult> => {
    const compute = await cloud.compute();
    const id = await findId(cloud, 'server', input.argument('server'));
    if (input.flag('diagnostics')) {
      const body = await compute.get(`/servers/${id}/diagnostics`);
      return isObject(body) ? Object.entries(body).toSorted(([a], [b]) => (a < b ? -1 : 1)) : [];
    }
    // A server found by its name in a list lacks what only its own page tells.
    const fields = await serverDetail(cloud, objectAt(await compute.get(`/servers/${id}`), 'server'));
    if (!input.flag('topology')) return fields;
    cloud.require(78, 'support the --topology option');
    const topology = await compute.get(`/servers/${id}/topology`);
    return [...fields, ['topology', dictionary(isObject(topology) ? topology : {})]];
  },
};
