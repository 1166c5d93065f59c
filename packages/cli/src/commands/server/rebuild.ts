import { find, findId } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import type { Json } from '../../json.ts';
import { objectAt, textAt } from '../../json.ts';
import { keyValues } from '../../key-values.ts';
import { serverDetail } from '../../server-detail.ts';
import { waitForServer } from '../../wait-for-server.ts';

export const serverRebuild: Command = {
  words: 'server rebuild',
  summary: 'Put an image in place of what is on a server’s disk; addresses and id stay',
  arguments: ['<server>'],
  options: [
    { flags: '--image <image>', description: 'the image (name or ID; default: the one it was made of)' },
    { flags: '--name <name>', description: 'new name of the server' },
    { flags: '--password <password>', description: 'admin password of the new system' },
    { flags: '--property <key=value>', description: 'set metadata, can be repeated', repeat: true },
    { flags: '--description <description>', description: 'description (2.19)' },
    { flags: '--wait', description: 'wait until it is done' },
  ],
  output: 'show',
  run: async (cloud, input, terminal) => {
    const server = await find(cloud, 'server', input.argument('server'));
    const id = textAt(server, 'id');
    const image = input.text('image');
    const metadata = keyValues(input.texts('property'), 'property');
    const rebuild: Record<string, Json> = {
      imageRef: image === null ? textAt(objectAt(server, 'image'), 'id') : await findId(cloud, 'image', image),
    };
    if (input.text('name') !== null) rebuild.name = input.text('name');
    if (input.text('password') !== null) rebuild.adminPass = input.text('password');
    if (input.text('description') !== null) rebuild.description = input.text('description');
    if (Object.keys(metadata).length > 0) rebuild.metadata = metadata;
    const compute = await cloud.compute();
    const answer = objectAt(await compute.post(`/servers/${id}/action`, { rebuild }), 'server');
    // It goes back to what it was: a stopped server stays stopped.
    const after = textAt(server, 'status') === 'SHUTOFF' ? ['SHUTOFF'] : ['ACTIVE'];
    return serverDetail(cloud, input.flag('wait') ? await waitForServer(cloud, id, after, terminal) : answer);
  },
};

export const serverEvacuate: Command = {
  words: 'server evacuate',
  summary: 'Start a server of a dead host elsewhere, from its disk; the host has to be fenced, or forced down, before',
  arguments: ['<server>'],
  options: [
    { flags: '--host <host>', description: 'to this host; the scheduler chooses by default (2.29)' },
    { flags: '--password <password>', description: 'admin password, where its disk is made anew' },
    { flags: '--wait', description: 'wait until it runs' },
  ],
  output: 'none',
  run: async (cloud, input, terminal) => {
    const id = await findId(cloud, 'server', input.argument('server'), { all_tenants: true });
    const [host, adminPass] = [input.text('host'), input.text('password')];
    if (host !== null) cloud.require(29, 'use the --host option.');
    const evacuate = { ...(host === null ? {} : { host }), ...(adminPass === null ? {} : { adminPass }) };
    await (await cloud.compute()).post(`/servers/${id}/action`, { evacuate });
    if (input.flag('wait')) await waitForServer(cloud, id, ['ACTIVE', 'SHUTOFF'], terminal);
  },
};
