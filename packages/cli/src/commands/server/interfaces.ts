import type { Cloud } from '../../cloud/cloud.ts';
import { findId } from '../../cloud/find.ts';
import type { Command, CommandOption, Input } from '../../command.ts';
import { CommandError } from '../../command-error.ts';
import { isObject, type JsonObject, objectAt, objectsAt, textAt } from '../../json.ts';
import { listOfDictionaries } from '../../render/cell.ts';

const tag: CommandOption = { flags: '--tag <tag>', description: 'tag for the attached interface (2.49)' };

function tagOf(cloud: Cloud, input: Input): JsonObject {
  const given = input.text('tag');
  if (given === null) return {};
  cloud.require(49, 'support the --tag option');
  return { tag: given };
}

const serverId = async (cloud: Cloud, input: Input): Promise<string> => findId(cloud, 'server', input.argument('server'));

const attach = async (cloud: Cloud, server: string, what: JsonObject): Promise<JsonObject> =>
  objectAt(await (await cloud.compute()).post(`/servers/${server}/os-interface`, { interfaceAttachment: what }), 'interfaceAttachment');

/** Interfaces come and go while the server runs. Attaching ends when the guest has it; detaching has only been accepted when the command ends. */
export const serverInterfaces: readonly Command[] = [
  {
    words: 'server add port',
    summary: 'Add port to server',
    arguments: ['<server>', '<port>'],
    options: [tag],
    output: 'none',
    run: async (cloud, input) => {
      const given = tagOf(cloud, input);
      await attach(cloud, await serverId(cloud, input), { port_id: await findId(cloud, 'port', input.argument('port')), ...given });
    },
  },
  {
    words: 'server add network',
    summary: 'Add network to server',
    arguments: ['<server>', '<network>'],
    options: [tag],
    output: 'none',
    run: async (cloud, input) => {
      const given = tagOf(cloud, input);
      await attach(cloud, await serverId(cloud, input), { net_id: await findId(cloud, 'network', input.argument('network')), ...given });
    },
  },
  {
    words: 'server add fixed ip',
    summary: 'Add fixed IP address to server, on an interface of its own (2.44)',
    arguments: ['<server>', '<network>'],
    options: [{ flags: '--fixed-ip-address <ip-address>', description: 'requested fixed IP address' }, tag],
    output: 'show',
    run: async (cloud, input) => {
      const given = tagOf(cloud, input);
      const server = await serverId(cloud, input);
      const network = await findId(cloud, 'network', input.argument('network'));
      if (!cloud.supports(44)) {
        await (await cloud.compute()).post(`/servers/${server}/action`, { addFixedIp: { networkId: network } });
        return [];
      }
      const address = input.text('fixed-ip-address');
      const made = await attach(cloud, server, {
        net_id: network,
        ...(address === null ? {} : { fixed_ips: [{ ip_address: address }] }),
        ...given,
      });
      return [
        ['Port ID', made.port_id ?? null],
        ['Server ID', server],
        ['Network ID', made.net_id ?? null],
        ['MAC Address', made.mac_addr ?? null],
        ['Port State', made.port_state ?? null],
        ['Fixed IPs', listOfDictionaries((Array.isArray(made.fixed_ips) ? made.fixed_ips : []).filter(isObject))],
        ...(cloud.supports(49) ? [['Tag', made.tag ?? null] as const] : []),
      ];
    },
  },
  {
    words: 'server remove port',
    summary: 'Remove port from server',
    arguments: ['<server>', '<port>'],
    output: 'none',
    run: async (cloud, input) => {
      const [server, port] = [await serverId(cloud, input), await findId(cloud, 'port', input.argument('port'))];
      await (await cloud.compute()).delete(`/servers/${server}/os-interface/${port}`);
    },
  },
  {
    words: 'server remove network',
    summary: 'Remove all ports of a network from server',
    arguments: ['<server>', '<network>'],
    output: 'none',
    run: async (cloud, input) => {
      const [server, network] = [await serverId(cloud, input), await findId(cloud, 'network', input.argument('network'))];
      const compute = await cloud.compute();
      const attached = objectsAt(await compute.get(`/servers/${server}/os-interface`), 'interfaceAttachments');
      for (const each of attached.filter(({ net_id }) => net_id === network))
        await compute.delete(`/servers/${server}/os-interface/${textAt(each, 'port_id')}`);
    },
  },
  {
    words: 'server remove fixed ip',
    summary: 'Remove fixed IP address from server (up to 2.43)',
    arguments: ['<server>', '<ip-address>'],
    output: 'none',
    run: async (cloud, input) => {
      const address = input.argument('ip-address');
      const server = await serverId(cloud, input);
      // From 2.44 on no API has this action, and every cloud answers the openstack command with the same unknown action.
      if (cloud.supports(44))
        throw new CommandError('An address cannot be taken from an interface since compute API version 2.44.', {
          next: `Take away the interface that has it: \`godwit port list --server ${input.argument('server')}\` shows which, \`godwit server remove port\` does it.`,
        });
      await (await cloud.compute()).post(`/servers/${server}/action`, { removeFixedIp: { address } });
    },
  },
  securityGroup('add', 'Add security group to server'),
  securityGroup('remove', 'Remove security group from server'),
];

function securityGroup(what: 'add' | 'remove', summary: string): Command {
  return {
    words: `server ${what} security group`,
    summary,
    arguments: ['<server>', '<group>'],
    output: 'none',
    run: async (cloud, input) => {
      const server = await serverId(cloud, input);
      const name = await findId(cloud, 'security group', input.argument('group'));
      await (await cloud.compute()).post(`/servers/${server}/action`, { [`${what}SecurityGroup`]: { name } });
    },
  };
}
