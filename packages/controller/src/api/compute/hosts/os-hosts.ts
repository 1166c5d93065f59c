import { always } from '@godwit/contract/schemas/closed';
import { HostListAnswer, HostShowAnswer, UpdateHost, UpdateHostAnswer } from '@godwit/contract/schemas/compute/services';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { assertAllowed } from '../../../auth/policy.ts';
import { switchHost } from '../../../hosts/switch-host.ts';
import { one } from '../../query.ts';
import { type ComputeRequest, param, route } from '../route.ts';
import { controllerServices, internalZone } from './controller-services.ts';
import { capacityOf, type HostRow, hostRows } from './host-rows.ts';

/** The oldest of the host resources; the API dropped it at 2.43. */
const max = 42;

async function find(request: ComputeRequest<never>): Promise<HostRow> {
  const name = param(request, 'host');
  const row = await hostRows(request.context.db).where('host.name', '=', name).executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Compute host ${name.slice(0, 255)} could not be found.`);
  return row;
}

async function show(request: ComputeRequest<never>) {
  assertAllowed(request.caller, 'os-hosts:show');
  const host = await find(request);
  const capacity = capacityOf(host);
  const byProject = await request.context.db
    .selectFrom('allocation')
    .innerJoin('server', 'server.id', 'allocation.server_id')
    .select([
      'server.project_id',
      sql<number>`sum(allocation.vcpus)::integer`.as('cpu'),
      sql<number>`sum(allocation.ram_mib)::integer`.as('memory_mb'),
      sql<number>`sum(allocation.disk_gib)::integer`.as('disk_gb'),
    ])
    .where('allocation.host_id', '=', host.id)
    .groupBy('server.project_id')
    .orderBy('server.project_id')
    .execute();
  const used = { cpu: capacity.vcpus_used, memory_mb: capacity.memory_mb_used, disk_gb: capacity.local_gb_used };
  const resources = [
    { project: '(total)', cpu: capacity.vcpus, memory_mb: capacity.memory_mb, disk_gb: capacity.local_gb },
    { project: '(used_now)', ...used },
    { project: '(used_max)', ...used },
    ...byProject.map(({ project_id, ...rest }) => ({ project: project_id, ...rest })),
  ];
  return { status: 200, body: { host: resources.map((resource) => ({ resource: { host: host.name, ...resource } })) } };
}

async function update(request: ComputeRequest<UpdateHost>) {
  assertAllowed(request.caller, 'os-hosts:update');
  const { status, maintenance_mode: maintenance } = request.body;
  if (status === undefined && maintenance === undefined)
    throw new GodwitError('BadRequest', "'status' or 'maintenance_mode' needed for host update");
  if (maintenance !== undefined) throw new GodwitError('NotImplemented', 'Virt driver does not implement host maintenance mode.');
  const host = await find(request as ComputeRequest<never>);
  const enabled = status?.toLowerCase() === 'enable';
  await switchHost(request.context.db, host.id, { enabled });
  return { status: 200, body: { host: host.name, status: enabled ? 'enabled' : 'disabled' } };
}

export const osHostRoutes = [
  route('GET', '/os-hosts', {
    max,
    response: always(HostListAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-hosts:list');
      const { db } = request.context;
      const zone = one(request.query, 'zone');
      const [hosts, controllers] = await Promise.all([hostRows(db).execute(), controllerServices(db)]);
      const all = [
        ...controllers.map((controller) => ({ host_name: controller.name, service: 'conductor', zone: internalZone })),
        ...hosts.map((host) => ({ host_name: host.name, service: 'compute', zone: host.zone })),
      ];
      return { status: 200, body: { hosts: all.filter((host) => zone === null || host.zone === zone) } };
    },
  }),
  route('GET', '/os-hosts/:host', { max, response: always(HostShowAnswer), handle: show }),
  route('PUT', '/os-hosts/:host', { max, body: always(UpdateHost), response: always(UpdateHostAnswer), handle: update }),
  ...(['startup', 'shutdown', 'reboot'] as const).map((action) =>
    route('GET', `/os-hosts/:host/${action}`, {
      max,
      response: () => null,
      handle: async (request) => {
        assertAllowed(request.caller, 'os-hosts:update');
        await find(request);
        throw new GodwitError('NotImplemented', 'Virt driver does not implement host power management.');
      },
    }),
  ),
];
