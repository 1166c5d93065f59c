import type { HostFacts, HypervisorType } from '@godwit/domain/host';
import type { AllocationRatios } from '@godwit/domain/scheduling/host-state';
import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

/** One row of Compute Hosts: the service and the hypervisor of one host. */
export type Host = {
  readonly id: string;
  readonly serviceId: string;
  readonly name: string;
  readonly zone: string;
  readonly type: HypervisorType;
  readonly address: string;
  readonly enabled: boolean;
  readonly disabledReason: string | null;
  readonly state: 'up' | 'down';
  readonly forcedDown: boolean;
  readonly seenAt: string | null;
  /** As QEMU writes it, `10.0.2`; empty where there is none. */
  readonly version: string;
  readonly vcpus: { readonly used: number; readonly total: number };
  readonly ramMib: { readonly used: number; readonly total: number };
  readonly diskGib: { readonly used: number; readonly total: number };
  readonly instances: number;
  readonly cpuModel: string;
};

type Service = {
  readonly id: string;
  readonly binary: string;
  readonly host: string;
  readonly zone: string;
  readonly status: 'enabled' | 'disabled';
  readonly state: 'up' | 'down';
  readonly updated_at: string | null;
  readonly disabled_reason: string | null;
  readonly forced_down: boolean;
};

type Hypervisor = {
  readonly id: string;
  readonly hypervisor_hostname: string;
  readonly hypervisor_type: HypervisorType;
  readonly hypervisor_version: number;
  readonly host_ip: string;
  readonly vcpus: number;
  readonly vcpus_used: number;
  readonly memory_mb: number;
  readonly memory_mb_used: number;
  readonly local_gb: number;
  readonly local_gb_used: number;
  readonly running_vms: number;
  readonly cpu_info: { readonly model?: string };
};

/** From 2.88 on a hypervisor no longer tells its capacity. */
const withCapacity = { microversion: '2.87' };

/** Services and hypervisors joined by host name and in its order: two requests whatever the number of hosts. For admins. */
export const hostList = (api: Api) =>
  queryOptions({
    queryKey: ['host', 'list'],
    queryFn: async (): Promise<readonly Host[]> => {
      const [{ services }, { hypervisors }] = await Promise.all([
        api.get<{ readonly services: readonly Service[] }>('/compute/v2.1/os-services?binary=nova-compute'),
        api.get<{ readonly hypervisors: readonly Hypervisor[] }>('/compute/v2.1/os-hypervisors/detail', withCapacity),
      ]);
      const byHost = new Map(services.map((service) => [service.host, service]));
      return hypervisors
        .flatMap((hypervisor) => {
          const service = byHost.get(hypervisor.hypervisor_hostname);
          return service === undefined ? [] : [hostRow(service, hypervisor)];
        })
        .toSorted((a, b) => byName.compare(a.name, b.name));
    },
  });

/** node2 before node10. One collator: a thousand hosts are compared ten thousand times. */
const byName = new Intl.Collator('en', { numeric: true });

const hostRow = (service: Service, hypervisor: Hypervisor): Host => ({
  id: hypervisor.id,
  serviceId: service.id,
  name: service.host,
  zone: service.zone,
  type: hypervisor.hypervisor_type,
  address: hypervisor.host_ip,
  enabled: service.status === 'enabled',
  disabledReason: service.disabled_reason,
  state: service.state,
  forcedDown: service.forced_down,
  seenAt: service.updated_at,
  version: versionText(hypervisor.hypervisor_version),
  vcpus: { used: hypervisor.vcpus_used, total: hypervisor.vcpus },
  ramMib: { used: hypervisor.memory_mb_used, total: hypervisor.memory_mb },
  diskGib: { used: hypervisor.local_gb_used, total: hypervisor.local_gb },
  instances: hypervisor.running_vms,
  cpuModel: hypervisor.cpu_info.model ?? '',
});

/** 10000002 → `10.0.2`. */
const versionText = (version: number): string =>
  version === 0 ? '' : [Math.floor(version / 1_000_000), Math.floor(version / 1000) % 1000, version % 1000].join('.');

/** Enables the host, or disables it with the reason that every verdict will then name. */
export async function switchHost(
  api: Api,
  host: Host,
  change: { readonly enabled: true } | { readonly enabled: false; readonly reason: string },
): Promise<void> {
  await api.send(
    'PUT',
    `/compute/v2.1/os-services/${host.serviceId}`,
    change.enabled ? { status: 'enabled' } : { status: 'disabled', ...(change.reason === '' ? {} : { disabled_reason: change.reason }) },
  );
}

/** What an agent says of its host, and what its self-test has seen working. */
export type HostFactsAnswer = Pick<
  HostFacts,
  'accelerator' | 'acceleratorReason' | 'qemuVersion' | 'agentVersion' | 'kernel' | 'load' | 'selfTest'
> & {
  readonly id: string;
  readonly name: string;
  /** How far each resource may be promised beyond what the host has. */
  readonly allocationRatios: AllocationRatios;
};

export const hostFacts = (api: Api) =>
  queryOptions({
    queryKey: ['host', 'facts'],
    queryFn: async () => (await api.get<{ readonly hosts: readonly HostFactsAnswer[] }>('/godwit/v1/hosts')).hosts,
  });
