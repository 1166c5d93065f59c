import { randomUUID } from 'node:crypto';
import { type Network, NetworkBody, NetworkCreate, NetworkList, NetworkUpdate } from '@godwit/contract/schemas/network/networks';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { noteNetwork } from '../../networks/note-change.ts';
import { demandFreeVlan, demandUpgraded, isProvider, vlanOf } from '../../networks/provider-network.ts';
import { visibleNetworks } from '../../networks/visible-networks.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';
import { secondTime } from '../time-format.ts';
import { fieldsOf, listAnswer } from './list-answer.ts';
import { assertOwner, findNetwork, type NetworkRow, ownerOf } from './network-access.ts';

/** Linux bridges and virtio carry this without being told. */
const defaultMtu = 1500;

export const networkRoutes: readonly ServiceRoute[] = [
  {
    method: 'GET',
    path: '/v2.0/networks',
    response: NetworkList,
    handle: async (request: ServiceRequest) => {
      const { context, caller } = request;
      const rows = await context.db.selectFrom('network').selectAll().where(visibleNetworks(caller)).orderBy('created_at').execute();
      const subnets = await subnetsByNetwork(
        context.db,
        rows.map((row) => row.id),
      );
      return listAnswer(
        'networks',
        rows.map((row) => view(row, subnets.get(row.id) ?? [], caller)),
        request,
      );
    },
  },
  {
    method: 'POST',
    path: '/v2.0/networks',
    body: NetworkCreate,
    response: NetworkBody,
    handle: async ({ context, caller, body: { network } }: ServiceRequest<NetworkCreate>) => {
      const projectId = ownerOf(caller, network, 'create_network');
      if ((network.shared === true || isProvider(network)) && !caller.isAdmin)
        throw new GodwitError('Forbidden', 'rule:create_network is disallowed by policy');
      const vlan = vlanOf(network);
      // Behind the lock of a VLAN, what others have committed meanwhile is seen, whatever the database's own default is.
      const transaction = context.db.transaction().setIsolationLevel('read committed');
      const row = await transaction.execute(async (tx) => {
        if (vlan !== null) {
          await demandUpgraded(tx);
          await demandFreeVlan(tx, network['provider:physical_network'] ?? null, vlan);
        }
        return await tx
          .insertInto('network')
          .values({
            id: randomUUID(),
            name: network.name ?? '',
            description: network.description ?? '',
            project_id: projectId,
            shared: network.shared ?? false,
            admin_state_up: network.admin_state_up ?? true,
            mtu: network.mtu ?? defaultMtu,
            bridge: network['provider:physical_network'] ?? null,
            vlan,
            port_security_enabled: network.port_security_enabled ?? true,
          })
          .returningAll()
          .executeTakeFirstOrThrow();
      });
      return { status: 201, body: { network: view(row, [], caller) } };
    },
  },
  {
    method: 'GET',
    path: '/v2.0/networks/:network',
    response: NetworkBody,
    handle: async ({ context, caller, params, query }: ServiceRequest) => {
      const row = await findNetwork(context.db, caller, params['network'] ?? '');
      return {
        status: 200,
        body: { network: fieldsOf(view(row, (await subnetsByNetwork(context.db, [row.id])).get(row.id) ?? [], caller), query) },
      };
    },
  },
  {
    method: 'PUT',
    path: '/v2.0/networks/:network',
    body: NetworkUpdate,
    response: NetworkBody,
    handle: async ({ context, caller, params, body: { network } }: ServiceRequest<NetworkUpdate>) => {
      const found = await findNetwork(context.db, caller, params['network'] ?? '');
      assertOwner(caller, found, 'update_network');
      if (network.shared !== undefined && network.shared !== found.shared && !caller.isAdmin)
        throw new GodwitError('Forbidden', 'rule:update_network:shared is disallowed by policy');
      const row = await context.db.transaction().execute(async (tx) => {
        if (network.admin_state_up !== undefined) await noteNetwork(tx, found.id);
        return await tx
          .updateTable('network')
          .set({ ...network, updated_at: sql`now()` })
          .where('id', '=', found.id)
          .returningAll()
          .executeTakeFirst();
      });
      if (row === undefined) throw new GodwitError('NotFound', `Network ${found.id} could not be found.`);
      return { status: 200, body: { network: view(row, (await subnetsByNetwork(context.db, [row.id])).get(row.id) ?? [], caller) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v2.0/networks/:network',
    response: null,
    handle: async ({ context, caller, params }: ServiceRequest) => {
      await context.db.transaction().execute(async (tx) => {
        const { id, project_id } = await findNetwork(tx, caller, params['network'] ?? '');
        assertOwner(caller, { project_id }, 'delete_network');
        // A port that is being made holds a key share on the row: this waits for it, and then sees it.
        await tx.selectFrom('network').select('id').where('id', '=', id).forUpdate().execute();
        const used = await tx.selectFrom('port').select('id').where('network_id', '=', id).limit(1).executeTakeFirst();
        if (used !== undefined)
          throw new GodwitError(
            'Conflict',
            `Unable to complete operation on network ${id}. There are one or more ports still in use on the network, id for these ports is: ${used.id}.`,
          );
        await tx.deleteFrom('network').where('id', '=', id).execute();
      });
      return { status: 204 };
    },
  },
];

async function subnetsByNetwork(db: Db, networkIds: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  if (networkIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('subnet')
    .select(['id', 'network_id'])
    .where('network_id', 'in', networkIds)
    .orderBy('created_at')
    .execute();
  return new Map([...Map.groupBy(rows, (row) => row.network_id)].map(([id, subnets]) => [id, subnets.map((subnet) => subnet.id)]));
}

function view(row: NetworkRow, subnets: readonly string[], caller: Caller): Network {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    tenant_id: row.project_id ?? '',
    project_id: row.project_id ?? '',
    status: 'ACTIVE',
    admin_state_up: row.admin_state_up,
    shared: row.shared,
    subnets: [...subnets],
    mtu: row.mtu,
    port_security_enabled: row.port_security_enabled,
    'router:external': false,
    tags: [],
    created_at: secondTime(row.created_at),
    updated_at: secondTime(row.updated_at),
    ...(caller.isAdmin
      ? {
          'provider:network_type': row.vlan === null ? 'flat' : 'vlan',
          'provider:physical_network': row.bridge,
          'provider:segmentation_id': row.vlan,
        }
      : {}),
  };
}
