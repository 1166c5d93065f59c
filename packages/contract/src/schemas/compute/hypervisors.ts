import { Type } from 'typebox';
import { Closed, Links, Nullable, OneOf, perMinor, Uuid } from '../closed.ts';
import { NumberedId } from './services.ts';

/** OpenStack compute API v2.1, "Hypervisors (os-hypervisors)". */
const count = Type.Integer();
const plain = (minor: number) => ({
  id: NumberedId(minor),
  hypervisor_hostname: Type.String(),
  state: OneOf('up', 'down'),
  status: OneOf('enabled', 'disabled'),
});
const Servers = Type.Array(Closed({ name: Type.String(), uuid: Uuid }));
/** From 2.53 only when asked for by with_servers; from 2.75 then also when there are none. */
const withServers = (minor: number) => (minor >= 53 ? { servers: Type.Optional(Servers) } : {});
const CpuInfo = Closed({
  arch: Type.String(),
  model: Type.String(),
  vendor: Type.String(),
  features: Type.Array(Type.String()),
  topology: Closed({ cores: count, sockets: count, threads: count }),
});
const capacities = {
  vcpus: count,
  memory_mb: count,
  local_gb: count,
  vcpus_used: count,
  memory_mb_used: count,
  local_gb_used: count,
  free_ram_mb: count,
  free_disk_gb: count,
  current_workload: count,
  running_vms: count,
  disk_available_least: Nullable(count),
};
const Detail = (minor: number) =>
  Closed({
    ...plain(minor),
    hypervisor_type: Type.String(),
    hypervisor_version: count,
    host_ip: Type.String(),
    service: Closed({ id: NumberedId(minor), host: Type.String(), disabled_reason: Nullable(Type.String()) }),
    ...withServers(minor),
    ...(minor >= 88 ? { uptime: Nullable(Type.String()) } : { ...capacities, cpu_info: minor >= 28 ? CpuInfo : Type.String() }),
  });
const paged = (minor: number) => (minor >= 33 ? { hypervisors_links: Type.Optional(Links) } : {});

export const HypervisorListAnswer = perMinor((minor) =>
  Closed({ hypervisors: Type.Array(Closed({ ...plain(minor), ...withServers(minor) })), ...paged(minor) }),
);
export const HypervisorDetailAnswer = perMinor((minor) => Closed({ hypervisors: Type.Array(Detail(minor)), ...paged(minor) }));
export const HypervisorAnswer = perMinor((minor) => Closed({ hypervisor: Detail(minor) }));
export const HypervisorSearchAnswer = perMinor((minor) => Closed({ hypervisors: Type.Array(Closed(plain(minor))) }));
/** Below 2.53: `/{name}/servers`; without servers the key is absent. */
export const HypervisorServersAnswer = perMinor((minor) =>
  Closed({ hypervisors: Type.Array(Closed({ ...plain(minor), servers: Type.Optional(Servers) })) }),
);
export const HypervisorUptimeAnswer = perMinor((minor) =>
  Closed({
    hypervisor: Closed({
      ...plain(minor),
      uptime: Type.String({ pattern: '^\\d\\d:\\d\\d:\\d\\d up (\\d+ days?, +)?\\d+:\\d\\d, +\\d+ users?, +load average: ' }),
    }),
  }),
);
export const HypervisorStatisticsAnswer = Closed({ hypervisor_statistics: Closed({ count, ...capacities, disk_available_least: count }) });
