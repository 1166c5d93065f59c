import type { Cloud } from '../../cloud/cloud.ts';
import { find, findId } from '../../cloud/find.ts';
import type { Command, Input } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';
import { type Json, objectAt, textAt } from '../../json.ts';
import { keyValues } from '../../key-values.ts';
import { serverDetail } from '../../server-detail.ts';
import { waitForServer } from '../../wait-for-server.ts';
import { userDataOf } from './user-data.ts';

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
    { flags: '--preserve-ephemeral', description: 'keep the ephemeral disk, where the cloud can' },
    { flags: '--no-preserve-ephemeral', description: 'make the ephemeral disk anew' },
    { flags: '--key-name <key-name>', description: 'keypair to inject in place of the present one (2.54)' },
    { flags: '--no-key-name', description: 'inject no keypair (2.54)' },
    { flags: '--key-unset', description: 'the older word for --no-key-name' },
    { flags: '--user-data <file>', description: 'file served to the guest as user data in place of the present one (2.57)' },
    { flags: '--no-user-data', description: 'serve no user data (2.57)' },
    { flags: '--hostname <hostname>', description: 'host name within the guest (2.90)' },
    { flags: '--wait', description: 'wait until it is done' },
  ],
  output: 'show',
  run: async (cloud, input, terminal) => {
    const given = await givenOf(cloud, input);
    const server = await find(cloud, 'server', input.argument('server'));
    const id = textAt(server, 'id');
    const image = input.text('image');
    const rebuild: Record<string, Json> = {
      ...given,
      imageRef: image === null ? textAt(objectAt(server, 'image'), 'id') : await findId(cloud, 'image', image),
    };
    const compute = await cloud.compute();
    const answer = objectAt(await compute.post(`/servers/${id}/action`, { rebuild }), 'server');
    // It goes back to what it was: a stopped server stays stopped.
    const after = textAt(server, 'status') === 'SHUTOFF' ? ['SHUTOFF'] : ['ACTIVE'];
    return serverDetail(cloud, input.flag('wait') ? await waitForServer(cloud, id, after, terminal) : answer);
  },
};

/** What a rebuild is told beside the image. A keypair or user data that is null is taken away. */
async function givenOf(cloud: Cloud, input: Input): Promise<Record<string, Json>> {
  const given: Record<string, Json> = {};
  for (const [option, field, minor] of [
    ['name', 'name', 0],
    ['password', 'adminPass', 0],
    ['description', 'description', 19],
    ['key-name', 'key_name', 54],
    ['hostname', 'hostname', 90],
  ] as const) {
    const value = input.text(option);
    if (value === null) continue;
    cloud.require(minor, `support the --${option} option`);
    given[field] = value;
  }
  const noKey = input.flag('no-key-name') || input.flag('key-unset');
  if (noKey && given.key_name !== undefined)
    throw new CommandError('--key-name and --key-unset exclude each other.', { exitCode: exitCodes.usage });
  if (noKey) {
    cloud.require(54, 'support the --no-key-name option');
    given.key_name = null;
  }
  if (input.text('user-data') !== null || input.flag('no-user-data')) {
    cloud.require(57, 'change the user data');
    given.user_data = await userDataOf(input);
  }
  if (input.flag('preserve-ephemeral') || input.flag('no-preserve-ephemeral')) given.preserve_ephemeral = input.flag('preserve-ephemeral');
  const metadata = keyValues(input.texts('property'), 'property');
  if (Object.keys(metadata).length > 0) given.metadata = metadata;
  return given;
}

export const serverEvacuate: Command = {
  words: 'server evacuate',
  summary: 'Start a server of a dead host elsewhere, from its disk; the host has to be fenced, or forced down, before',
  arguments: ['<server>'],
  options: [
    { flags: '--host <host>', description: 'to this host; the scheduler chooses by default (2.29)' },
    { flags: '--password <password>', description: 'admin password, where its disk is made anew' },
    { flags: '--shared-storage', description: 'its disk is on shared storage (below 2.14; later versions find out)' },
    { flags: '--wait', description: 'wait until it runs' },
  ],
  output: 'show',
  run: async (cloud, input, terminal) => {
    const asksOfStorage = !cloud.supports(14);
    if (input.flag('shared-storage') && !asksOfStorage)
      throw new CommandError('--os-compute-api-version 2.13 or earlier is required to specify shared-storage.', {
        next: 'Leave --shared-storage out: from 2.14 on the cloud knows where the disk is.',
      });
    const id = await findId(cloud, 'server', input.argument('server'), { all_tenants: true });
    const [host, adminPass] = [input.text('host'), input.text('password')];
    if (host !== null) cloud.require(29, 'use the --host option.');
    const evacuate = {
      ...(host === null ? {} : { host }),
      ...(adminPass === null ? {} : { adminPass }),
      ...(asksOfStorage ? { onSharedStorage: input.flag('shared-storage') } : {}),
    };
    const compute = await cloud.compute();
    await compute.post(`/servers/${id}/action`, { evacuate });
    return serverDetail(
      cloud,
      input.flag('wait')
        ? await waitForServer(cloud, id, ['ACTIVE', 'SHUTOFF'], terminal)
        : objectAt(await compute.get(`/servers/${id}`), 'server'),
    );
  },
};
