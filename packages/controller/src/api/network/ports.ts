import { type Port, PortBody, PortCreate, PortList, PortUpdate } from '@godwit/contract/schemas/network/networks';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import { zoneOfHost } from '../../hosts/host-zone.ts';
import { createPort } from '../../networks/create-port.ts';
import { noteMember } from '../../networks/security-groups.ts';
import { updatePort } from '../../networks/update-port.ts';
import type { PortTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import type { Query } from '../query.ts';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';
import { secondTime } from '../time-format.ts';
import { fieldsOf, listAnswer } from './list-answer.ts';
import { assertOwner, findNetwork, ownerOf } from './network-access.ts';
import { findGroup } from './security-groups.ts';

type PortRow = Selectable<PortTable> & { readonly host_name: string | null; readonly zone: string; readonly security_groups: string[] };

export const portRoutes: readonly ServiceRoute[] = [
  {
    method: 'GET',
    path: '/v2.0/ports',
    response: PortList,
    handle: async (request: ServiceRequest) => {
      const { context, caller, query } = request;
      return listAnswer(
        'ports',
        (await narrowed(context.db, caller, query).orderBy('port.created_at').execute()).map((row) => view(row, caller)),
        request,
      );
    },
  },
  {
    method: 'POST',
    path: '/v2.0/ports',
    body: PortCreate,
    response: PortBody,
    handle: async ({ context, caller, body: { port } }: ServiceRequest<PortCreate>) => {
      const projectId = ownerOf(caller, port, 'create_port');
      const network = await findNetwork(context.db, caller, port.network_id);
      const ownsNetwork = caller.isAdmin || network.project_id === caller.projectId;
      assertMayAsk(ownsNetwork, port, 'create_port');
      await assertGroups(context.db, caller, projectId, port.security_groups ?? []);
      const { id } = await context.db.transaction().execute((tx) =>
        createPort(tx, {
          networkId: network.id,
          projectId,
          name: port.name ?? '',
          description: port.description ?? '',
          adminStateUp: port.admin_state_up ?? true,
          ...(port.mac_address === undefined ? {} : { mac: port.mac_address.toLowerCase() }),
          ...addressesAndSecurity(port),
        }),
      );
      return { status: 201, body: { port: view(await find(context.db, caller, id), caller) } };
    },
  },
  {
    method: 'GET',
    path: '/v2.0/ports/:port',
    response: PortBody,
    handle: async ({ context, caller, params, query }: ServiceRequest) => ({
      status: 200,
      body: { port: fieldsOf(view(await find(context.db, caller, params['port'] ?? ''), caller), query) },
    }),
  },
  {
    method: 'PUT',
    path: '/v2.0/ports/:port',
    body: PortUpdate,
    response: PortBody,
    handle: async ({ context, caller, params, body: { port } }: ServiceRequest<PortUpdate>) => {
      const found = await find(context.db, caller, params['port'] ?? '');
      assertOwner(caller, found, 'update_port');
      const network = await context.db
        .selectFrom('network')
        .select('project_id')
        .where('id', '=', found.network_id)
        .executeTakeFirstOrThrow();
      assertMayAsk(caller.isAdmin || network.project_id === caller.projectId, port, 'update_port');
      await assertGroups(context.db, caller, found.project_id, port.security_groups ?? []);
      await context.db.transaction().execute((tx) =>
        updatePort(tx, found.id, {
          ...(port.name === undefined ? {} : { name: port.name }),
          ...(port.description === undefined ? {} : { description: port.description }),
          ...(port.admin_state_up === undefined ? {} : { adminStateUp: port.admin_state_up }),
          ...addressesAndSecurity(port),
        }),
      );
      return { status: 200, body: { port: view(await find(context.db, caller, found.id), caller) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v2.0/ports/:port',
    response: null,
    handle: async ({ context, caller, params }: ServiceRequest) => {
      const found = await find(context.db, caller, params['port'] ?? '');
      assertOwner(caller, found, 'delete_port');
      const deleted = await context.db.transaction().execute(async (tx) => {
        await noteMember(tx, [found.id]);
        return await tx.deleteFrom('port').where('id', '=', found.id).where('server_id', 'is', null).returning('id').executeTakeFirst();
      });
      if (deleted === undefined)
        throw new GodwitError('Conflict', `Port ${found.id} cannot be deleted: it is in use by server ${found.server_id ?? ''}.`);
      return { status: 204 };
    },
  },
];

/** On a network of somebody else, addresses are given and not chosen, and what they are checked by stays on. */
function assertMayAsk(ownsNetwork: boolean, port: PortUpdate['port'] & { readonly mac_address?: string }, rule: string): void {
  if (ownsNetwork) return;
  if (port.mac_address !== undefined || port.fixed_ips?.some((fixedIp) => fixedIp.ip_address !== undefined) === true)
    throw new GodwitError('Forbidden', `rule:${rule}:fixed_ips is disallowed by policy`);
  if (port.port_security_enabled !== undefined)
    throw new GodwitError('Forbidden', `rule:${rule}:port_security_enabled is disallowed by policy`);
  if (port.allowed_address_pairs !== undefined)
    throw new GodwitError('Forbidden', `rule:${rule}:allowed_address_pairs is disallowed by policy`);
}

/** Throws NotFound for a group that the caller does not see, or that another project has. */
async function assertGroups(db: Db, caller: Caller, projectId: string, groupIds: readonly string[]): Promise<void> {
  for (const groupId of groupIds) {
    const group = await findGroup(db, caller, groupId);
    if (group.project_id !== projectId && !caller.isAdmin) throw new GodwitError('NotFound', `Security group ${groupId} does not exist`);
  }
}

const addressesAndSecurity = (port: PortUpdate['port']) => ({
  ...(port.fixed_ips === undefined
    ? {}
    : {
        fixedIps: port.fixed_ips.map(({ subnet_id, ip_address }) => ({
          ...(subnet_id === undefined ? {} : { subnetId: subnet_id }),
          ...(ip_address === undefined ? {} : { address: ip_address }),
        })),
      }),
  ...(port.security_groups === undefined ? {} : { securityGroupIds: [...new Set(port.security_groups)] }),
  ...(port.port_security_enabled === undefined ? {} : { portSecurity: port.port_security_enabled }),
  ...(port.allowed_address_pairs === undefined
    ? {}
    : {
        allowedAddressPairs: port.allowed_address_pairs.map(({ ip_address, mac_address }) => ({
          address: ip_address,
          ...(mac_address === undefined ? {} : { mac: mac_address }),
        })),
      }),
});

const visible = (db: Db, caller: Caller) =>
  db
    .selectFrom('port')
    .leftJoin('host', 'host.id', 'port.host_id')
    .selectAll('port')
    .select(['host.name as host_name', zoneOfHost('port.host_id').as('zone')])
    .select(
      sql<string[]>`array(select security_group_id::text from port_security_group where port_id = port.id order by security_group_id)`.as(
        'security_groups',
      ),
    )
    .$if(!caller.isAdmin, (ports) => ports.where('port.project_id', '=', caller.projectId));

/** Filters that can make a long list short are asked in the database; all of them are checked again on the views. */
function narrowed(db: Db, caller: Caller, query: Query) {
  let ports = visible(db, caller);
  for (const [key, column] of [
    ['device_id', 'port.server_id'],
    ['network_id', 'port.network_id'],
    ['id', 'port.id'],
    ['mac_address', 'port.mac'],
    ['name', 'port.name'],
  ] as const) {
    const values = query.get(key);
    // An empty device_id asks for ports without a device.
    if (values !== undefined && !values.includes(''))
      ports = ports.where(sql<boolean>`lower(${sql.ref(column)}::text) = any(${values.map((value) => value.toLowerCase())}::text[])`);
  }
  return ports;
}

async function find(db: Db, caller: Caller, id: string): Promise<PortRow> {
  const row = await visible(db, caller).where(sql<boolean>`port.id::text = ${id}`).executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Port ${id.slice(0, 255)} could not be found.`);
  return row;
}

function view(row: PortRow, caller: Caller): Port {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    tenant_id: row.project_id,
    project_id: row.project_id,
    network_id: row.network_id,
    mac_address: row.mac,
    fixed_ips: row.fixed_ips.map(({ subnetId, address }) => ({ subnet_id: subnetId, ip_address: address })),
    status: row.status === 'ACTIVE' && row.admin_state_up ? 'ACTIVE' : 'DOWN',
    admin_state_up: row.admin_state_up,
    device_id: row.server_id ?? '',
    device_owner: row.server_id === null ? '' : `compute:${row.zone}`,
    security_groups: row.security_groups,
    port_security_enabled: row.port_security_enabled,
    allowed_address_pairs: row.allowed_address_pairs.map(({ address, mac }) => ({ ip_address: address, mac_address: mac })),
    'binding:vnic_type': 'normal',
    tags: [],
    created_at: secondTime(row.created_at),
    updated_at: secondTime(row.updated_at),
    ...(caller.isAdmin ? { 'binding:host_id': row.host_name ?? '' } : {}),
  };
}
