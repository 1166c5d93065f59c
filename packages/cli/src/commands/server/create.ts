import type { Cloud } from '../../cloud/cloud.ts';
import { find, findId } from '../../cloud/find.ts';
import type { Command, Input } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';
import { type Json, type JsonObject, objectAt, textAt } from '../../json.ts';
import { keyValues } from '../../key-values.ts';
import { serverDetail } from '../../server-detail.ts';
import { waitForServer } from '../../wait-for-server.ts';
import { userDataOf } from './user-data.ts';

export const serverCreate: Command = {
  words: 'server create',
  summary: 'Create a new server',
  arguments: ['<server-name>'],
  options: [
    { flags: '--flavor <flavor>', description: 'create the server with this flavor (name or ID)', required: true },
    { flags: '--image <image>', description: 'boot from this image (name or ID)' },
    { flags: '--network <network>', description: 'a NIC on this network (name or ID), can be repeated', repeat: true },
    { flags: '--port <port>', description: 'a NIC with this port (name or ID), can be repeated', repeat: true },
    { flags: '--nic <net-id=…,port-id=…,v4-fixed-ip=…>', description: 'a NIC; also auto or none', repeat: true },
    { flags: '--security-group <group>', description: 'assign this security group, can be repeated', repeat: true },
    { flags: '--key-name <key-name>', description: 'keypair to inject' },
    { flags: '--property <key=value>', description: 'set metadata, can be repeated', repeat: true },
    { flags: '--user-data <file>', description: 'file served to the guest as user data' },
    { flags: '--description <description>', description: 'description (2.19)' },
    { flags: '--availability-zone <zone>', description: 'place it in this zone' },
    { flags: '--host <host>', description: 'place it on this host (admin, 2.74)' },
    { flags: '--hypervisor-hostname <hypervisor>', description: 'place it on this hypervisor (admin, 2.74)' },
    { flags: '--hint <key=value>', description: 'hint for the scheduler, can be repeated', repeat: true },
    { flags: '--use-config-drive', description: 'give the guest a config drive' },
    { flags: '--no-config-drive', description: 'give the guest no config drive' },
    { flags: '--password <password>', description: 'set the admin password' },
    { flags: '--hostname <hostname>', description: 'host name within the guest (2.90)' },
    { flags: '--tag <tag>', description: 'tag, can be repeated (2.52)', repeat: true },
    { flags: '--min <count>', description: 'fewest servers to launch', kind: 'integer' },
    { flags: '--max <count>', description: 'most servers to launch', kind: 'integer' },
    { flags: '--wait', description: 'wait until it is there' },
  ],
  output: 'show',
  run: async (cloud, input, terminal) => {
    const compute = await cloud.compute();
    const body = await bodyOf(cloud, input);
    const made = objectAt(await compute.post('/servers', body), 'server');
    const id = textAt(made, 'id');
    const server = input.flag('wait')
      ? await waitForServer(cloud, id, ['ACTIVE'], terminal)
      : objectAt(await compute.get(`/servers/${id}`), 'server');
    return serverDetail(cloud, { ...made, ...server });
  },
};

async function bodyOf(cloud: Cloud, input: Input): Promise<JsonObject> {
  const [min, max] = [input.integer('min') ?? 1, input.integer('max') ?? input.integer('min') ?? 1];
  if (min < 1) throw new CommandError('min instances should be > 0', { exitCode: exitCodes.usage });
  if (min > max) throw new CommandError('min instances should be <= max instances', { exitCode: exitCodes.usage });
  const image = input.text('image');
  if (image === null)
    throw new CommandError('An --image is needed.', { exitCode: exitCodes.usage, next: '`godwit image list` shows the images.' });
  if (input.text('description') !== null) cloud.require(19, 'support the --description option');
  if (input.texts('tag').length > 0) cloud.require(52, 'support the --tag option');
  if (input.text('host') !== null) cloud.require(74, 'support the --host option');
  if (input.text('hypervisor-hostname') !== null) cloud.require(74, 'support the --hypervisor-hostname option');
  if (input.text('hostname') !== null) cloud.require(90, 'support the --hostname option');
  const [imageRef, flavorRef, networks, userData] = await Promise.all([
    findId(cloud, 'image', image),
    findId(cloud, 'flavor', input.text('flavor') ?? ''),
    networksOf(cloud, input),
    userDataOf(input),
  ]);
  const given: Record<string, Json> = { name: input.argument('server-name'), imageRef, flavorRef, min_count: min, max_count: max };
  if (networks !== null) given.networks = networks;
  if (userData !== null) given.user_data = userData;
  const texts = {
    'key-name': 'key_name',
    description: 'description',
    'availability-zone': 'availability_zone',
    host: 'host',
    hostname: 'hostname',
    password: 'adminPass',
  };
  for (const [option, field] of Object.entries(texts)) {
    const value = input.text(option);
    if (value !== null) given[field] = value;
  }
  const hypervisor = input.text('hypervisor-hostname');
  if (hypervisor !== null) given.hypervisor_hostname = hypervisor;
  if (input.texts('property').length > 0) given.metadata = keyValues(input.texts('property'), 'property');
  if (input.texts('tag').length > 0) given.tags = [...input.texts('tag')];
  if (input.flag('use-config-drive')) given.config_drive = true;
  if (input.texts('security-group').length > 0) given.security_groups = input.texts('security-group').map((name) => ({ name }));
  const hints = hintsOf(input.texts('hint'));
  return { server: given, ...(Object.keys(hints).length === 0 ? {} : { 'os:scheduler_hints': hints }) };
}

/** A hint that is given more than once is a list. */
function hintsOf(given: readonly string[]): JsonObject {
  const hints: Record<string, string | readonly string[]> = {};
  for (const one of given)
    for (const [key, value] of Object.entries(keyValues([one], 'hint'))) {
      const before = hints[key];
      hints[key] = before === undefined ? value : [...(typeof before === 'string' ? [before] : before), value];
    }
  return hints;
}

/** From 2.37 on the API wants networks: `auto` unless some were asked for. */
async function networksOf(cloud: Cloud, input: Input): Promise<Json> {
  const nics: Json[] = [];
  for (const network of input.texts('network')) {
    if (network === 'auto' || network === 'none') return network;
    nics.push({ uuid: await findId(cloud, 'network', network) });
  }
  for (const port of input.texts('port')) nics.push({ port: await findId(cloud, 'port', port) });
  for (const nic of input.texts('nic')) {
    if (nic === 'auto' || nic === 'none') return nic;
    const parts = keyValues(nic.split(','), 'nic');
    nics.push({
      ...(parts['net-id'] === undefined ? {} : { uuid: textAt(await find(cloud, 'network', parts['net-id']), 'id') }),
      ...(parts['port-id'] === undefined ? {} : { port: textAt(await find(cloud, 'port', parts['port-id']), 'id') }),
      ...(parts['v4-fixed-ip'] === undefined ? {} : { fixed_ip: parts['v4-fixed-ip'] }),
    });
  }
  if (nics.length > 0) return nics;
  return cloud.supports(37) ? 'auto' : null;
}
