import { always } from '@godwit/contract/schemas/closed';
import {
  AttachVolume,
  DiagnosticsAnswer,
  PasswordAnswer,
  TopologyAnswer,
  UpdateVolumeAttachment,
} from '@godwit/contract/schemas/compute/server-details';
import { GodwitError } from '@godwit/domain/errors';
import { ramOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { type PowerState, powerState } from '@godwit/domain/server';
import { assertAllowed } from '../../auth/policy.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { type ServerRow, serverFor } from './server-rows.ts';

const stateWords: Readonly<Record<PowerState, string>> = {
  [powerState.pending]: 'pending',
  [powerState.running]: 'running',
  [powerState.paused]: 'paused',
  [powerState.shutdown]: 'shutdown',
  [powerState.crashed]: 'crashed',
  [powerState.suspended]: 'suspended',
};

const mibPerKib = 1024;

/** What the guest was given. Counters that its host does not report are null (2.48), or left out (below): unknown is not zero. */
async function diagnostics(request: ComputeRequest<never>): Promise<Answer> {
  const row = await serverFor(request, 'diagnostics');
  if (request.minor < 48) return { status: 200, body: { memory: ramOf(row.flavor) * mibPerKib } };
  const disks = await request.context.db.selectFrom('disk').select('id').where('server_id', '=', row.id).execute();
  const unknown = (names: readonly string[]): Record<string, null> => Object.fromEntries(names.map((name) => [name, null]));
  return {
    status: 200,
    body: {
      state: stateWords[row.power_state],
      driver: row.hypervisor_type === 'ironic' ? 'ironic' : 'libvirt',
      hypervisor: row.hypervisor_type === 'ironic' ? null : 'qemu',
      hypervisor_os: row.hypervisor_type === 'ironic' ? null : 'linux',
      uptime: null,
      config_drive: row.config_drive,
      num_cpus: vcpusOf(row.flavor),
      num_nics: row.ports.length,
      num_disks: disks.length,
      cpu_details: Array.from({ length: vcpusOf(row.flavor) }, (_none, id) => ({ id, time: null, utilisation: null })),
      nic_details: row.ports.map(({ mac }) => ({
        mac_address: mac,
        ...unknown([
          'rx_octets',
          'rx_errors',
          'rx_drop',
          'rx_packets',
          'rx_rate',
          'tx_octets',
          'tx_errors',
          'tx_drop',
          'tx_packets',
          'tx_rate',
        ]),
      })),
      disk_details: disks.map(() => unknown(['read_bytes', 'read_requests', 'write_bytes', 'write_requests', 'errors_count'])),
      memory_details: { maximum: ramOf(row.flavor), used: null },
    },
  };
}

const noVolume = (id: string): GodwitError => new GodwitError('NotFound', `Volume ${id.slice(0, 120)} could not be found.`);
const notAttached = (row: ServerRow, id: string): GodwitError =>
  new GodwitError('NotFound', `Instance ${row.id} is not attached to volume ${id.slice(0, 120)}: this cloud has no volume service.`);

export const serverDetailRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers/:server/diagnostics', { response: DiagnosticsAnswer, handle: diagnostics }),
  route('GET', '/servers/:server/topology', {
    min: 78,
    response: TopologyAnswer,
    handle: async (request) => {
      await serverFor(request, 'topology');
      // No guest is given NUMA nodes, huge pages or pinned CPUs.
      return { status: 200, body: { nodes: [], pagesize_kb: null } };
    },
  }),
  route('GET', '/servers/:server/os-server-password', {
    response: always(PasswordAnswer),
    handle: async (request) => {
      await serverFor(request, 'show-password');
      // A guest tells its password through the metadata service, which this cloud does not have.
      return { status: 200, body: { password: '' } };
    },
  }),
  route('DELETE', '/servers/:server/os-server-password', {
    response: () => null,
    handle: async (request) => {
      await serverFor(request, 'clear-password');
      return { status: 204 };
    },
  }),
  route('POST', '/servers/:server/os-volume_attachments', {
    body: AttachVolume,
    response: () => null,
    handle: async (request: ComputeRequest<AttachVolume>) => {
      assertAllowed(request.caller, 'os-volumes-attachments:create');
      await serverFor(request as ComputeRequest<never>, 'show');
      throw noVolume(request.body.volumeAttachment.volumeId);
    },
  }),
  ...(['GET', 'PUT', 'DELETE'] as const).map((method) =>
    route(method, '/servers/:server/os-volume_attachments/:volume', {
      ...(method === 'PUT' ? { body: always(UpdateVolumeAttachment) } : {}),
      response: () => null,
      handle: async (request) => {
        assertAllowed(
          request.caller,
          method === 'GET'
            ? 'os-volumes-attachments:show'
            : method === 'PUT'
              ? 'os-volumes-attachments:update'
              : 'os-volumes-attachments:delete',
        );
        throw notAttached(await serverFor(request, 'show'), param(request, 'volume'));
      },
    }),
  ),
];
