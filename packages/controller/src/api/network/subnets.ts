import { randomUUID } from 'node:crypto';
import { type Subnet, SubnetBody, SubnetCreate, SubnetList, SubnetUpdate } from '@godwit/contract/schemas/network/networks';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import { parseAddress } from '../../networks/ip-range.ts';
import { noteSubnet } from '../../networks/note-change.ts';
import { planSubnet } from '../../networks/plan-subnet.ts';
import { visibleNetworks } from '../../networks/visible-networks.ts';
import type { SubnetTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Tables } from '../../store/tables.ts';
import type { Caller } from '../../workflows/operations.ts';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';
import { secondTime } from '../time-format.ts';
import { fieldsOf, listAnswer } from './list-answer.ts';
import { assertOwner, findNetwork, ownerOf } from './network-access.ts';

type SubnetRow = Selectable<SubnetTable>;

export const subnetRoutes: readonly ServiceRoute[] = [
  {
    method: 'GET',
    path: '/v2.0/subnets',
    response: SubnetList,
    handle: async (request: ServiceRequest) =>
      listAnswer('subnets', (await visible(request.context.db, request.caller).orderBy('created_at').execute()).map(view), request),
  },
  {
    method: 'POST',
    path: '/v2.0/subnets',
    body: SubnetCreate,
    response: SubnetBody,
    handle: async ({ context, caller, body: { subnet } }: ServiceRequest<SubnetCreate>) => {
      const projectId = ownerOf(caller, subnet, 'create_subnet');
      const plan = planSubnet({
        cidr: subnet.cidr,
        ...(subnet.ip_version === undefined ? {} : { ipVersion: subnet.ip_version }),
        ...(subnet.gateway_ip === undefined ? {} : { gateway: subnet.gateway_ip }),
        ...(subnet.allocation_pools === undefined || subnet.allocation_pools.length === 0 ? {} : { pools: subnet.allocation_pools }),
      });
      assertAddresses(subnet.dns_nameservers ?? []);
      const row = await context.db.transaction().execute(async (tx) => {
        const network = await findNetwork(tx, caller, subnet.network_id);
        assertOwner(caller, network, 'create_subnet');
        // Two overlapping subnets at once must not both find nothing in their way.
        await tx.selectFrom('network').select('id').where('id', '=', network.id).forUpdate().execute();
        const overlapping = await tx
          .selectFrom('subnet')
          .select('id')
          .where('network_id', '=', network.id)
          .where(sql<boolean>`cidr && ${plan.cidr}::cidr`)
          .executeTakeFirst();
        if (overlapping !== undefined) {
          throw new GodwitError(
            'BadRequest',
            `Invalid input for operation: Requested subnet with cidr: ${plan.cidr} for network: ${network.id} overlaps with another subnet.`,
          );
        }
        return await tx
          .insertInto('subnet')
          .values({
            id: randomUUID(),
            network_id: network.id,
            name: subnet.name ?? '',
            description: subnet.description ?? '',
            cidr: plan.cidr,
            gateway: plan.gateway,
            pool_start: plan.poolStart,
            pool_end: plan.poolEnd,
            enable_dhcp: subnet.enable_dhcp ?? true,
            dns_nameservers: subnet.dns_nameservers ?? [],
            project_id: projectId,
          })
          .returningAll()
          .executeTakeFirstOrThrow();
      });
      return { status: 201, body: { subnet: view(row) } };
    },
  },
  {
    method: 'GET',
    path: '/v2.0/subnets/:subnet',
    response: SubnetBody,
    handle: async ({ context, caller, params, query }: ServiceRequest) => ({
      status: 200,
      body: { subnet: fieldsOf(view(await find(context.db, caller, params['subnet'] ?? '')), query) },
    }),
  },
  {
    method: 'PUT',
    path: '/v2.0/subnets/:subnet',
    body: SubnetUpdate,
    response: SubnetBody,
    handle: async ({ context, caller, params, body: { subnet } }: ServiceRequest<SubnetUpdate>) => {
      const found = await find(context.db, caller, params['subnet'] ?? '');
      assertOwner(caller, found, 'update_subnet');
      assertAddresses(subnet.dns_nameservers ?? []);
      const row = await context.db.transaction().execute(async (tx) => {
        const changed = await tx
          .updateTable('subnet')
          .set({ ...subnet, updated_at: sql`now()` })
          .where('id', '=', found.id)
          .returningAll()
          .executeTakeFirst();
        await noteSubnet(tx, found.id);
        return changed;
      });
      if (row === undefined) throw new GodwitError('NotFound', `Subnet ${found.id} could not be found.`);
      return { status: 200, body: { subnet: view(row) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v2.0/subnets/:subnet',
    response: null,
    handle: async ({ context, caller, params }: ServiceRequest) => {
      await context.db.transaction().execute(async (tx) => {
        const found = await find(tx, caller, params['subnet'] ?? '');
        assertOwner(caller, found, 'delete_subnet');
        // An address that is being given out holds a key share on the row: this waits for it, and then sees it.
        await tx.selectFrom('subnet').select('id').where('id', '=', found.id).forUpdate().execute();
        const used = await tx.selectFrom('ip_allocation').select('port_id').where('subnet_id', '=', found.id).limit(1).executeTakeFirst();
        if (used !== undefined) {
          throw new GodwitError(
            'Conflict',
            `Unable to complete operation on subnet ${found.id}: One or more ports have an IP allocation from this subnet. For example ${used.port_id}.`,
          );
        }
        await tx.deleteFrom('subnet').where('id', '=', found.id).execute();
      });
      return { status: 204 };
    },
  },
];

/** Subnets of networks that the caller may see. */
function visible(db: Db, caller: Caller): SelectQueryBuilder<Tables, 'subnet', SubnetRow> {
  return db
    .selectFrom('subnet')
    .selectAll('subnet')
    .where(({ exists, selectFrom }) =>
      exists(selectFrom('network').select('network.id').whereRef('network.id', '=', 'subnet.network_id').where(visibleNetworks(caller))),
    );
}

async function find(db: Db, caller: Caller, id: string): Promise<SubnetRow> {
  const row = await visible(db, caller).where(sql<boolean>`subnet.id::text = ${id}`).executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Subnet ${id.slice(0, 255)} could not be found.`);
  return row;
}

function assertAddresses(addresses: readonly string[]): void {
  const wrong = addresses.find((address) => parseAddress(address) === null);
  if (wrong !== undefined)
    throw new GodwitError('BadRequest', `Invalid input for dns_nameservers. Reason: '${wrong}' is not a valid nameserver.`);
}

function view(row: SubnetRow): Subnet {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    tenant_id: row.project_id ?? '',
    project_id: row.project_id ?? '',
    network_id: row.network_id,
    ip_version: row.cidr.includes(':') ? 6 : 4,
    cidr: row.cidr,
    gateway_ip: row.gateway,
    allocation_pools: [{ start: row.pool_start, end: row.pool_end }],
    enable_dhcp: row.enable_dhcp,
    dns_nameservers: row.dns_nameservers,
    host_routes: [],
    ipv6_ra_mode: null,
    ipv6_address_mode: null,
    subnetpool_id: null,
    tags: [],
    created_at: secondTime(row.created_at),
    updated_at: secondTime(row.updated_at),
  };
}
