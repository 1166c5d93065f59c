import { always } from '@godwit/contract/schemas/closed';
import {
  AnyObject,
  FloatingIpPoolsAnswer,
  FloatingIpsAnswer,
  OldNetworkAnswer,
  OldNetworksAnswer,
  TenantNetworkAnswer,
  TenantNetworksAnswer,
  unknownNetworkFields,
} from '@godwit/contract/schemas/compute/proxies';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import { visibleNetworks } from '../../networks/visible-networks.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { isUuid } from './server-rows.ts';

/** The network service has them since. */
const max = 35;

type Network = { readonly id: string; readonly name: string; readonly cidr: string | null };

const networks = ({ context, caller }: ComputeRequest<never>) =>
  context.db
    .selectFrom('network')
    .select(['id', 'name'])
    .select(
      sql<string | null>`(select cidr::text from subnet where subnet.network_id = network.id order by created_at, subnet.id limit 1)`.as(
        'cidr',
      ),
    )
    .where(visibleNetworks(caller))
    .orderBy('created_at')
    .orderBy('id');

async function networkOf(request: ComputeRequest<never>): Promise<Network> {
  const id = param(request, 'net');
  const row = isUuid(id) ? await networks(request).where('id', '=', id).executeTakeFirst() : undefined;
  if (row === undefined) throw new GodwitError('NotFound', `Network ${id.slice(0, 120)} could not be found.`);
  return row;
}

/** What the network service keeps elsewhere is null, as the reference's proxy has it. */
const networkView = ({ id, name }: Network): object => ({
  id,
  label: name,
  ...Object.fromEntries(unknownNetworkFields.map((field) => [field, null])),
});
const tenantView = ({ id, name, cidr }: Network): object => ({ id, label: name, cidr: cidr ?? 'None' });

const noFloatingIp = (what: string): GodwitError =>
  new GodwitError('NotFound', `Floating IP not found for ID ${what.slice(0, 120)}: this cloud has none.`);

export const oldNetworkRoutes: readonly ComputeRoute[] = [
  ...(
    [
      ['os-networks', 'os-networks:list', networkView, OldNetworksAnswer, OldNetworkAnswer],
      ['os-tenant-networks', 'os-tenant-networks:list', tenantView, TenantNetworksAnswer, TenantNetworkAnswer],
    ] as const
  ).flatMap(([name, rule, view, list, show]) => [
    route('GET', `/${name}`, {
      max,
      response: always(list),
      handle: async (request) => {
        assertAllowed(request.caller, rule);
        return { status: 200, body: { networks: (await networks(request).execute()).map(view) } };
      },
    }),
    route('GET', `/${name}/:net`, {
      max,
      response: always(show),
      handle: async (request) => {
        assertAllowed(request.caller, rule);
        return { status: 200, body: { network: view(await networkOf(request)) } };
      },
    }),
  ]),
  route('GET', '/os-floating-ip-pools', {
    max,
    response: always(FloatingIpPoolsAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-floating-ips:list');
      return { status: 200, body: { floating_ip_pools: [] } };
    },
  }),
  route('GET', '/os-floating-ips', {
    max,
    response: always(FloatingIpsAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-floating-ips:list');
      return { status: 200, body: { floating_ips: [] } };
    },
  }),
  route('POST', '/os-floating-ips', {
    max,
    body: always(AnyObject),
    response: () => null,
    handle: async (request): Promise<Answer> => {
      assertAllowed(request.caller, 'os-floating-ips:create');
      throw new GodwitError('NotFound', 'Floating IP pool not found.');
    },
  }),
  ...(['GET', 'DELETE'] as const).map((method) =>
    route(method, '/os-floating-ips/:address', {
      max,
      response: () => null,
      handle: async (request) => {
        assertAllowed(request.caller, method === 'GET' ? 'os-floating-ips:list' : 'os-floating-ips:delete');
        throw noFloatingIp(param(request, 'address'));
      },
    }),
  ),
];
