import { always } from '@godwit/contract/schemas/closed';
import { ServersQuery } from '@godwit/contract/schemas/compute/queries';
import { CreateServer, UpdateServer } from '@godwit/contract/schemas/compute/server-requests';
import {
  AddressesAnswer,
  NetworkAddressesAnswer,
  ServerAnswer,
  ServerCreateAnswer,
  ServerDetailAnswer,
  ServerListAnswer,
  ServerUpdateAnswer,
  VolumeAttachmentsAnswer,
} from '@godwit/contract/schemas/compute/server-views';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { tellServer } from '../../workflows/record/server-event.ts';
import { accessIp } from './access-ip.ts';
import { jsonList, nextLinks } from './paging.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { createServers } from './server-create.ts';
import { listServers } from './server-list.ts';
import { serverFor, serverRows } from './server-rows.ts';
import { addressesOf, listedServer, serverLinks, serverView } from './server-view.ts';
import { shownServers } from './shown-servers.ts';

async function update(request: ComputeRequest<UpdateServer>) {
  const row = await serverFor(request as ComputeRequest<never>, 'update');
  const { name, description, accessIPv4, accessIPv6, hostname, 'OS-DCF:diskConfig': diskConfig } = request.body.server;
  const { db } = request.context;
  await db.transaction().execute(async (tx) => {
    await tx
      .updateTable('server')
      .set({
        updated_at: new Date(),
        ...(name === undefined ? {} : { name }),
        ...(description === undefined ? {} : { description }),
        ...(accessIPv4 === undefined ? {} : { access_ip_v4: accessIp('accessIPv4', accessIPv4) }),
        ...(accessIPv6 === undefined ? {} : { access_ip_v6: accessIp('accessIPv6', accessIPv6) }),
        ...(hostname === undefined ? {} : { hostname }),
        ...(diskConfig === undefined ? {} : { disk_config: diskConfig }),
      })
      .where('id', '=', row.id)
      .execute();
    await tellServer(tx, row.id);
  });
  const changed = await serverRows(db).where('server.id', '=', row.id).executeTakeFirstOrThrow();
  return { status: 200, body: { server: serverView(request as ComputeRequest<never>, changed, 'update') } };
}

/** All that is read for a list is of one moment: a server that is deleted, or has become another, between two readings is not in it as what was not asked for. */
async function detail(request: ComputeRequest<never>): Promise<Answer> {
  const { context } = request;
  return context.db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (tx) => {
      const then = { ...request, context: { ...context, db: tx } };
      const { servers, limit } = await listServers(then, 'servers:detail');
      const ids = servers.map(({ id }) => id);
      const links = nextLinks(request, 'servers', servers, limit, ids.at(-1));
      return { status: 200, json: jsonList('servers', await detailTexts(then, ids), links) };
    });
}

/** Each server as JSON, as soon as it is read: nothing else is kept of it. */
async function detailTexts(request: ComputeRequest<never>, ids: readonly string[]): Promise<readonly string[]> {
  const texts: string[] = [];
  for await (const some of shownServers(request.context.db, ids))
    for (const one of some) texts.push(JSON.stringify(listedServer(request, one)));
  return texts;
}

/** What `/ips` shows of an address. */
const plainAddresses = (addresses: Record<string, object[]>): Record<string, object[]> =>
  Object.fromEntries(
    Object.entries(addresses).map(([network, items]) => [
      network,
      items.map((item) => ({ version: Reflect.get(item, 'version'), addr: Reflect.get(item, 'addr') })),
    ]),
  );

export const serverRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers', {
    query: ServersQuery,
    response: ServerListAnswer,
    handle: async (request) => {
      const { servers, limit } = await listServers(request, 'servers:index');
      return {
        status: 200,
        body: {
          servers: servers.map(({ id, name }) => ({ id, name, links: serverLinks(request, id) })),
          ...nextLinks(request, 'servers', servers, limit, servers.at(-1)?.id),
        },
      };
    },
  }),
  route('GET', '/servers/detail', {
    query: ServersQuery,
    response: ServerDetailAnswer,
    handle: detail,
  }),
  route('POST', '/servers', { body: CreateServer, response: always(ServerCreateAnswer), handle: createServers }),
  route('GET', '/servers/:server', {
    response: ServerAnswer,
    handle: async (request) => ({ status: 200, body: { server: serverView(request, await serverFor(request, 'show'), 'show') } }),
  }),
  route('PUT', '/servers/:server', { body: UpdateServer, response: ServerUpdateAnswer, handle: update }),
  route('DELETE', '/servers/:server', {
    response: () => null,
    handle: async (request) => {
      const row = await serverFor(request, 'delete');
      await request.context.operations.delete(request.caller, as<ServerId>(row.id));
      return { status: 204 };
    },
  }),
  route('GET', '/servers/:server/ips', {
    response: always(AddressesAnswer),
    handle: async (request) => ({ status: 200, body: { addresses: plainAddresses(addressesOf(await serverFor(request, 'show'))) } }),
  }),
  route('GET', '/servers/:server/ips/:network', {
    response: always(NetworkAddressesAnswer),
    handle: async (request) => {
      const addresses = plainAddresses(addressesOf(await serverFor(request, 'show')));
      const network = param(request, 'network');
      if (!Object.hasOwn(addresses, network)) throw new GodwitError('NotFound', 'Instance is not a member of specified network');
      return { status: 200, body: { [network]: addresses[network] } };
    },
  }),
  route('GET', '/servers/:server/os-volume_attachments', {
    response: always(VolumeAttachmentsAnswer),
    handle: async (request) => {
      await serverFor(request, 'show');
      return { status: 200, body: { volumeAttachments: [] } };
    },
  }),
];
