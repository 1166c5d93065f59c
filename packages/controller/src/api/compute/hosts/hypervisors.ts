import { always } from '@godwit/contract/schemas/closed';
import {
  HypervisorAnswer,
  HypervisorDetailAnswer,
  HypervisorListAnswer,
  HypervisorSearchAnswer,
  HypervisorServersAnswer,
  HypervisorStatisticsAnswer,
  HypervisorUptimeAnswer,
} from '@godwit/contract/schemas/compute/hypervisors';
import { HypervisorQuery, HypervisorsQuery } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../../auth/policy.ts';
import type { Db } from '../../../store/database.ts';
import { flag, one, page } from '../../query.ts';
import { nextLinks } from '../paging.ts';
import { type ComputeRequest, param, route } from '../route.ts';
import { capacityOf, type HostRow, hostRows, stateOf, statusOf } from './host-rows.ts';
import { uptimeText } from './uptime.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Servers = ReadonlyMap<string, readonly { readonly name: string; readonly uuid: string }[]>;

const idOf = (host: HostRow, minor: number) => (minor >= 53 ? host.id : host.api_id);
const plain = (host: HostRow, minor: number) => ({
  id: idOf(host, minor),
  hypervisor_hostname: host.name,
  state: stateOf(host),
  status: statusOf(host),
});

/** Below 2.75 a hypervisor without servers has no such key even when asked. */
function serversOf(host: HostRow, minor: number, servers: Servers | null): object {
  const list = servers?.get(host.id);
  return servers === null || (list === undefined && minor < 75) ? {} : { servers: list ?? [] };
}

function detail(host: HostRow, minor: number, servers: Servers | null): object {
  const { facts } = host;
  return {
    ...plain(host, minor),
    hypervisor_type: facts.hypervisorType,
    hypervisor_version: versionNumber(facts.qemuVersion),
    host_ip: host.address,
    service: { id: minor >= 53 ? host.service_id : host.api_id, host: host.name, disabled_reason: host.disabled_reason },
    ...serversOf(host, minor, servers),
    ...(minor >= 88
      ? { uptime: uptimeText(facts, Date.now()) }
      : { ...capacityOf(host), cpu_info: minor >= 28 ? cpuInfo(host) : JSON.stringify(cpuInfo(host)) }),
  };
}

/** Nova's shape; agents report neither vendor nor sockets, so cores count as those of one socket. */
const cpuInfo = ({ facts }: HostRow) => ({
  arch: 'x86_64',
  model: facts.cpuModel,
  vendor: '',
  features: [...facts.cpuFeatures],
  topology: { cores: facts.cores, sockets: 1, threads: 1 },
});

/** `10.0.2` → 10000002, as libvirt numbers versions; 0 where there is none (bare metal). */
function versionNumber(version: string): number {
  const [major = 0, minor = 0, micro = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  return major * 1_000_000 + minor * 1_000 + micro;
}

async function serversByHost(db: Db, hostIds: readonly string[]): Promise<Servers> {
  if (hostIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('server')
    .select(['host_id', 'name', 'id'])
    .where('host_id', 'in', [...hostIds])
    .where('deleted_at', 'is', null)
    .orderBy('created_at')
    .execute();
  return new Map(
    [...Map.groupBy(rows, (row) => row.host_id ?? '')].map(([id, servers]) => [
      id,
      servers.map((server) => ({ name: server.name, uuid: server.id })),
    ]),
  );
}

async function list(request: ComputeRequest<never>, view: (host: HostRow, servers: Servers | null) => object) {
  const { query, minor } = request;
  const { db } = request.context;
  const paged = query.has('limit') || query.has('marker');
  const pattern = one(query, 'hypervisor_hostname_pattern');
  if (pattern !== null && paged)
    throw new GodwitError('BadRequest', 'Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.');
  const { limit, marker } = minor >= 33 ? page(query) : { limit: Infinity, marker: null };
  let hosts = await hostRows(db).execute();
  if (pattern !== null) {
    hosts = hosts.filter((host) => host.name.includes(pattern));
    if (hosts.length === 0) throw new GodwitError('NotFound', `No hypervisor matching '${pattern.slice(0, 255)}' could be found.`);
  }
  if (marker !== null) {
    const at = hosts.findIndex((host) => String(idOf(host, minor)) === marker);
    if (at < 0) throw new GodwitError('BadRequest', `marker [${marker.slice(0, 120)}] not found`);
    hosts = hosts.slice(at + 1);
  }
  hosts = hosts.slice(0, limit);
  const servers = flag(query, 'with_servers')
    ? await serversByHost(
        db,
        hosts.map((host) => host.id),
      )
    : null;
  const last = hosts.at(-1);
  return {
    status: 200,
    body: {
      hypervisors: hosts.map((host) => view(host, servers)),
      ...(minor >= 33 ? nextLinks(request, 'hypervisors', hosts, limit, last === undefined ? undefined : String(idOf(last, minor))) : {}),
    },
  };
}

/** The hypervisor of a URL: an integer below 2.53 (anything else is not found), a UUID from there on (anything else is a mistake). */
async function find(request: ComputeRequest<never>): Promise<HostRow> {
  const id = param(request, 'hypervisor');
  const { minor } = request;
  if (minor >= 53 && !uuid.test(id)) throw new GodwitError('BadRequest', `Invalid uuid ${id.slice(0, 255)}`);
  const wellFormed = minor >= 53 || /^\d{1,9}$/.test(id);
  const row = wellFormed
    ? await hostRows(request.context.db)
        .where((eb) => (minor >= 53 ? eb('host.id', '=', id.toLowerCase()) : eb('host.api_id', '=', Number(id))))
        .executeTakeFirst()
    : undefined;
  if (row === undefined) throw new GodwitError('NotFound', `Hypervisor with ID '${id.slice(0, 255)}' could not be found.`);
  return row;
}

async function matching(request: ComputeRequest<never>): Promise<readonly HostRow[]> {
  const pattern = param(request, 'hypervisor');
  const hosts = (await hostRows(request.context.db).execute()).filter((host) => host.name.includes(pattern));
  if (hosts.length === 0) throw new GodwitError('NotFound', `No hypervisor matching '${pattern.slice(0, 255)}' could be found.`);
  return hosts;
}

export const hypervisorRoutes = [
  route('GET', '/os-hypervisors', {
    query: HypervisorsQuery,
    response: HypervisorListAnswer,
    handle: (request) => {
      assertAllowed(request.caller, 'os-hypervisors:list');
      return list(request, (host, servers) => ({ ...plain(host, request.minor), ...serversOf(host, request.minor, servers) }));
    },
  }),
  route('GET', '/os-hypervisors/detail', {
    query: HypervisorsQuery,
    response: HypervisorDetailAnswer,
    handle: (request) => {
      assertAllowed(request.caller, 'os-hypervisors:list-detail');
      return list(request, (host, servers) => detail(host, request.minor, servers));
    },
  }),
  route('GET', '/os-hypervisors/statistics', {
    max: 87,
    response: always(HypervisorStatisticsAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-hypervisors:statistics');
      // As in Nova, hosts whose service is disabled are left out of the sums.
      const hosts = (await hostRows(request.context.db).where('host.enabled', '=', true).execute()).map(capacityOf);
      const keys = [
        'vcpus',
        'memory_mb',
        'local_gb',
        'vcpus_used',
        'memory_mb_used',
        'local_gb_used',
        'free_ram_mb',
        'free_disk_gb',
        'current_workload',
        'running_vms',
        'disk_available_least',
      ] as const;
      return {
        status: 200,
        body: {
          hypervisor_statistics: {
            count: hosts.length,
            ...Object.fromEntries(keys.map((key) => [key, hosts.reduce((sum, host) => sum + host[key], 0)])),
          },
        },
      };
    },
  }),
  route('GET', '/os-hypervisors/:hypervisor', {
    query: HypervisorQuery,
    response: HypervisorAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-hypervisors:show');
      const withServers = flag(request.query, 'with_servers');
      const host = await find(request);
      return {
        status: 200,
        body: { hypervisor: detail(host, request.minor, withServers ? await serversByHost(request.context.db, [host.id]) : null) },
      };
    },
  }),
  route('GET', '/os-hypervisors/:hypervisor/uptime', {
    max: 87,
    response: HypervisorUptimeAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-hypervisors:uptime');
      const host = await find(request);
      return { status: 200, body: { hypervisor: { ...plain(host, request.minor), uptime: uptimeText(host.facts, Date.now()) } } };
    },
  }),
  route('GET', '/os-hypervisors/:hypervisor/search', {
    max: 52,
    response: HypervisorSearchAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-hypervisors:search');
      return { status: 200, body: { hypervisors: (await matching(request)).map((host) => plain(host, request.minor)) } };
    },
  }),
  route('GET', '/os-hypervisors/:hypervisor/servers', {
    max: 52,
    response: HypervisorServersAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-hypervisors:servers');
      const hosts = await matching(request);
      const servers = await serversByHost(
        request.context.db,
        hosts.map((host) => host.id),
      );
      return {
        status: 200,
        body: { hypervisors: hosts.map((host) => ({ ...plain(host, request.minor), ...serversOf(host, request.minor, servers) })) },
      };
    },
  }),
];
