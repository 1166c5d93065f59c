import { hash } from 'node:crypto';
import { ramOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { serverStatus, statusesWithFault, statusesWithProgress } from '@godwit/domain/server-states';
import { microTime, secondTime } from '../time-format.ts';
import type { ComputeRequest } from './route.ts';
import type { ServerRow, ShownServer } from './server-rows.ts';

/** A server as the reference shows it at this microversion to this caller: all of it, or what an update answers, which below 2.75 is less. */
export function serverView(request: ComputeRequest<never>, row: ServerRow, kind: 'show' | 'update'): object {
  const { minor } = request;
  const common = { ...commonView(request, row), ...(minor >= 71 ? { server_groups: row.group_ids } : {}) };
  return kind === 'update' && minor < 75 ? common : { ...common, ...more(request, row) };
}

/** The same as an item of a list. */
export const listedServer = (request: ComputeRequest<never>, row: ShownServer): object => ({
  ...commonView(request, row),
  ...more(request, row),
});

function commonView(request: ComputeRequest<never>, row: ShownServer): object {
  const { minor, caller } = request;
  const status = serverStatus(row.vm_state, row.task_state);
  return {
    id: row.id,
    name: row.name,
    status,
    tenant_id: row.project_id,
    user_id: row.user_id,
    metadata: row.metadata,
    hostId: hostIdOf(row.project_id, row.host_name),
    image:
      row.image_id === null ? '' : { id: row.image_id, links: [{ rel: 'bookmark', href: bookmark(request, `images/${row.image_id}`) }] },
    flavor: flavorOf(request, row),
    created: secondTime(row.created_at),
    updated: secondTime(row.updated_at),
    addresses: addressesOf(row),
    accessIPv4: row.access_ip_v4 ?? '',
    accessIPv6: row.access_ip_v6 ?? '',
    links: serverLinks(request, row.id),
    'OS-DCF:diskConfig': row.disk_config,
    ...(statusesWithProgress.includes(status) ? { progress: row.progress } : {}),
    ...(statusesWithFault.includes(status) && row.fault !== null ? { fault: faultOf(row.fault, caller.isAdmin) } : {}),
    ...(minor >= 9 ? { locked: row.locked } : {}),
    ...(minor >= 19 ? { description: row.description } : {}),
    ...(minor >= 26 ? { tags: row.tags } : {}),
    ...(minor >= 63 ? { trusted_image_certificates: null } : {}),
    ...(minor >= 73 ? { locked_reason: row.locked_reason } : {}),
    ...(minor >= 90 ? { 'OS-EXT-SRV-ATTR:hostname': row.hostname } : {}),
  };
}

function more({ minor, caller }: ComputeRequest<never>, row: ShownServer): object {
  return {
    'OS-EXT-AZ:availability_zone': row.zone ?? '',
    config_drive: row.config_drive ? 'True' : '',
    key_name: row.key_name,
    'OS-SRV-USG:launched_at': row.launched_at === null ? null : microTime(row.launched_at),
    'OS-SRV-USG:terminated_at': row.terminated_at === null ? null : microTime(row.terminated_at),
    security_groups: row.security_groups.map((name) => ({ name })),
    'OS-EXT-STS:task_state': row.task_state,
    'OS-EXT-STS:vm_state': row.vm_state,
    'OS-EXT-STS:power_state': row.power_state,
    'os-extended-volumes:volumes_attached': [],
    // Only an admin learns where a server lives.
    ...(caller.isAdmin
      ? {
          'OS-EXT-SRV-ATTR:host': row.host_name,
          'OS-EXT-SRV-ATTR:hypervisor_hostname': row.host_name,
          'OS-EXT-SRV-ATTR:instance_name': instanceName(row.id),
        }
      : {}),
    ...(caller.isAdmin && minor >= 3
      ? {
          'OS-EXT-SRV-ATTR:hostname': row.hostname,
          'OS-EXT-SRV-ATTR:kernel_id': row.direct_boot?.kernelImageId ?? '',
          'OS-EXT-SRV-ATTR:launch_index': row.launch_index,
          'OS-EXT-SRV-ATTR:ramdisk_id': row.direct_boot?.ramdiskImageId ?? '',
          'OS-EXT-SRV-ATTR:reservation_id': row.reservation_id,
          'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
          'OS-EXT-SRV-ATTR:user_data': row.user_data,
        }
      : {}),
    ...(caller.isAdmin && minor >= 16 ? { host_status: hostStatus(row) } : {}),
  };
}

export const serverLinks = (request: ComputeRequest<never>, id: string) => [
  { rel: 'self', href: `${request.base}/servers/${id}` },
  { rel: 'bookmark', href: bookmark(request, `servers/${id}`) },
];

/** A link that does not go by a version. */
export const bookmark = (request: ComputeRequest<never>, path: string): string => `${request.base.replace(/\/v2(\.1)?$/, '')}/${path}`;

/** Tells whoever may not know the host that it changed, and nothing else; differs per project. */
export const hostIdOf = (projectId: string, hostName: string | null): string =>
  hostName === null ? '' : hash('sha224', projectId + hostName);

/** The guest's name on its host. */
export const instanceName = (serverId: string): string => `instance-${serverId.slice(0, 8)}`;

function flavorOf(request: ComputeRequest<never>, row: ShownServer): object {
  if (request.minor < 47)
    return { id: row.flavor_id, links: [{ rel: 'bookmark', href: bookmark(request, `flavors/${encodeURIComponent(row.flavor_id)}`) }] };
  const { flavor } = row;
  return {
    vcpus: vcpusOf(flavor),
    ram: ramOf(flavor),
    disk: flavor.disk_gib,
    ephemeral: flavor.ephemeral_gib,
    swap: flavor.swap_mib,
    original_name: flavor.name,
    extra_specs: flavor.extra_specs,
  };
}

/** By network name, in the order of the interfaces. */
export function addressesOf(row: Pick<ShownServer, 'ports'>): Record<string, object[]> {
  const networks = new Map<string, object[]>();
  for (const port of row.ports) {
    const known = networks.get(port.network) ?? [];
    networks.set(port.network, known);
    for (const ip of port.fixedIps) {
      known.push({
        version: ip.address.includes(':') ? 6 : 4,
        addr: ip.address,
        'OS-EXT-IPS:type': 'fixed',
        'OS-EXT-IPS-MAC:mac_addr': port.mac,
      });
    }
  }
  return Object.fromEntries(networks);
}

function faultOf(fault: NonNullable<ShownServer['fault']>, isAdmin: boolean): object {
  const shown = fault.details !== undefined && fault.details !== '' && (isAdmin || fault.code !== 500);
  return {
    code: fault.code,
    created: secondTime(new Date(fault.created)),
    message: fault.message,
    ...(shown ? { details: fault.details } : {}),
  };
}

/** `DOWN`: an operator said so; `UNKNOWN`: it does not answer. */
function hostStatus(row: ShownServer): string {
  if (row.host_name === null) return '';
  if (row.host_forced_down === true) return 'DOWN';
  if (row.host_enabled === false) return 'MAINTENANCE';
  return row.host_reachable === true ? 'UP' : 'UNKNOWN';
}
