import { GodwitError } from '@godwit/domain/errors';
import type { HypervisorType } from '@godwit/domain/host';
import { checkAction, type ServerAction, type ServerFacts } from '@godwit/domain/server-states';
import { type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import type { FixedIpColumn, ServerTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Tables } from '../../store/tables.ts';
import type { Caller } from '../../workflows/operations.ts';
import { type ComputeRequest, param } from './route.ts';

/** What the views of a server show of its own row. */
export const shownColumns = [
  'id',
  'name',
  'vm_state',
  'task_state',
  'project_id',
  'user_id',
  'metadata',
  'image_id',
  'flavor_id',
  'flavor',
  'created_at',
  'updated_at',
  'access_ip_v4',
  'access_ip_v6',
  'disk_config',
  'progress',
  'fault',
  'locked',
  'description',
  'tags',
  'locked_reason',
  'hostname',
  'config_drive',
  'key_name',
  'launched_at',
  'terminated_at',
  'power_state',
  'direct_boot',
  'launch_index',
  'reservation_id',
  'user_data',
] as const;

/** Everything that a list's view of a server shows. */
export type ShownServer = Pick<Selectable<ServerTable>, (typeof shownColumns)[number]> & {
  readonly host_name: string | null;
  readonly host_enabled: boolean | null;
  readonly host_forced_down: boolean | null;
  readonly host_reachable: boolean | null;
  readonly zone: string | null;
  readonly ports: readonly { readonly network: string; readonly mac: string; readonly fixedIps: readonly FixedIpColumn[] }[];
  /** Names of its ports' security groups. */
  readonly security_groups: readonly string[];
};

/** Everything that any view of a server shows, from one query. */
export type ServerRow = Selectable<ServerTable> &
  ShownServer & { readonly hypervisor_type: HypervisorType | null; readonly group_ids: readonly string[] };

/** Servers with their host, zone, ports and groups: one query, however many servers. Conditions go on `server` and `host`. */
export function serverRows(db: Db): SelectQueryBuilder<Tables & { host: Tables['host'] }, 'server' | 'host', ServerRow> {
  return db
    .selectFrom('server')
    .leftJoin('host', 'host.id', 'server.host_id')
    .selectAll('server')
    .select([
      'host.name as host_name',
      'host.hypervisor_type as hypervisor_type',
      'host.enabled as host_enabled',
      'host.forced_down as host_forced_down',
      'host.reachable as host_reachable',
    ])
    .select(zoneOfHost.as('zone'))
    .select(
      sql`coalesce((select jsonb_agg(jsonb_build_object('network', n.name, 'mac', p.mac::text, 'fixedIps', p.fixed_ips) order by p.device_index, p.id)
      from port p join network n on n.id = p.network_id where p.server_id = server.id), '[]')`.as('ports'),
    )
    .select(
      sql`coalesce((select jsonb_agg(m.group_id) from server_group_member m join server_group g on g.id = m.group_id where m.server_id = server.id and g.deleted_at is null), '[]')`.as(
        'group_ids',
      ),
    )
    .select(
      // A port's groups are looked up by the port (`offset 0`): as a join, the planner may read every port's groups once for each server.
      sql`coalesce((select jsonb_agg(g.name order by g.name, g.id) from security_group g where g.id in (select of_port.security_group_id from port p
        cross join lateral (select ps.security_group_id from port_security_group ps where ps.port_id = p.id offset 0) of_port where p.server_id = server.id)), '[]')`.as(
        'security_groups',
      ),
    ) as never;
}

/** The zone of a server's host: of the aggregate that names one, as the compute API has it; a host in none is in `nova`. */
export const zoneOfHost = sql<
  string | null
>`case when server.host_id is null then server.requested_zone else coalesce((select a.metadata ->> 'availability_zone' from aggregate a
  join aggregate_host ah on ah.aggregate_id = a.id where ah.host_id = server.host_id and a.deleted_at is null and a.metadata ->> 'availability_zone' is not null order by a.id limit 1), 'nova') end`;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
export const isUuid = (text: string): boolean => uuid.test(text);

export const serverNotFound = (id: string): GodwitError =>
  new GodwitError('ServerNotFound', `Instance ${id.slice(0, 255)} could not be found.`);

/** The server of the path, as far as the caller may know of it. Throws `ServerNotFound`. */
export async function serverOfPath(request: ComputeRequest<never>): Promise<ServerRow> {
  const id = param(request, 'server');
  const row = isUuid(id)
    ? await serverRows(request.context.db).where('server.id', '=', id).where('server.deleted_at', 'is', null).executeTakeFirst()
    : undefined;
  if (row === undefined || (!request.caller.isAdmin && row.project_id !== request.caller.projectId)) throw serverNotFound(id);
  return row;
}

export const factsOf = (row: ServerRow): ServerFacts => ({
  id: row.id,
  projectId: row.project_id,
  vmState: row.vm_state,
  taskState: row.task_state,
  locked: row.locked,
  hypervisorType: row.hypervisor_type,
});

/** Throws the refusal of the table of states. */
export function assertAction(action: ServerAction, row: ServerRow, caller: Caller): void {
  const verdict = checkAction(action, factsOf(row), caller);
  if (!verdict.ok) throw new GodwitError(verdict.code, verdict.message);
}

/** The server of the path, on which this caller may do this now. Refusals come in the API's order. */
export async function serverFor(request: ComputeRequest<never>, action: ServerAction): Promise<ServerRow> {
  const row = await serverOfPath(request);
  assertAction(action, row, request.caller);
  return row;
}
