import type { ServerGroupView } from '@godwit/contract/schemas/godwit/server-groups';
import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

export type Project = { readonly id: string; readonly name: string };
/** Every project of the cloud. For admins. */
export const projectList = (api: Api) =>
  queryOptions({
    queryKey: ['identity', 'project-names'],
    queryFn: async () => (await api.get<{ readonly projects: readonly Project[] }>('/identity/v3/projects')).projects,
    staleTime: 300_000,
  });

export type Flavor = {
  readonly id: string;
  readonly name: string;
  readonly vcpus: number;
  readonly ram: number;
  readonly disk: number;
  readonly description: string | null;
  readonly 'os-flavor-access:is_public': boolean;
  readonly extra_specs?: Readonly<Record<string, string>>;
};
export const flavorList = (api: Api) =>
  queryOptions({
    queryKey: ['flavor', 'list'],
    queryFn: async () =>
      (
        await api.get<{ readonly flavors: readonly Flavor[] }>(
          `/compute/v2.1/flavors/detail${api.session.roles.includes('admin') ? '?is_public=None' : ''}`,
        )
      ).flavors,
  });
export async function createFlavor(
  api: Api,
  flavor: { readonly name: string; readonly vcpus: number; readonly ram: number; readonly disk: number; readonly description?: string },
): Promise<void> {
  await api.send('POST', '/compute/v2.1/flavors', { flavor });
}
export const deleteFlavor = async (api: Api, id: string): Promise<void> =>
  api.send('DELETE', `/compute/v2.1/flavors/${encodeURIComponent(id)}`);

export type NetworkSubnet = {
  readonly id: string;
  readonly name: string;
  readonly network_id: string;
  readonly cidr: string;
  readonly gateway_ip: string | null;
};
export type Network = {
  readonly id: string;
  readonly name: string;
  readonly project_id: string;
  readonly shared: boolean;
  readonly mtu: number;
  readonly status: string;
  readonly admin_state_up: boolean;
  /** Administrators see it. */
  readonly 'provider:segmentation_id'?: number | null;
  readonly subnets: readonly string[];
};
export const networkList = (api: Api) =>
  queryOptions({
    queryKey: ['network', 'list'],
    queryFn: async () => (await api.get<{ readonly networks: readonly Network[] }>('/network/v2.0/networks')).networks,
  });
export const subnetList = (api: Api) =>
  queryOptions({
    queryKey: ['network', 'subnets'],
    queryFn: async () => (await api.get<{ readonly subnets: readonly NetworkSubnet[] }>('/network/v2.0/subnets')).subnets,
  });

export async function createNetwork(
  api: Api,
  network: {
    readonly name: string;
    readonly shared?: boolean;
    readonly mtu?: number;
    readonly 'provider:network_type'?: 'vlan';
    readonly 'provider:physical_network'?: string;
    readonly 'provider:segmentation_id'?: number;
  },
): Promise<string> {
  return (await api.send<{ readonly network: { readonly id: string } }>('POST', '/network/v2.0/networks', { network })).network.id;
}
export const deleteNetwork = async (api: Api, id: string): Promise<unknown> => api.send('DELETE', `/network/v2.0/networks/${id}`);
export const createSubnet = async (
  api: Api,
  subnet: {
    readonly network_id: string;
    readonly name: string;
    readonly cidr: string;
    readonly ip_version: 4 | 6;
    readonly gateway_ip?: string | null;
  },
): Promise<unknown> => api.send('POST', '/network/v2.0/subnets', { subnet });
export const deleteSubnet = async (api: Api, id: string): Promise<unknown> => api.send('DELETE', `/network/v2.0/subnets/${id}`);

export type KeyPair = { readonly name: string; readonly fingerprint: string; readonly type: string; readonly public_key: string };
export const keyPairList = (api: Api) =>
  queryOptions({
    queryKey: ['key-pair', 'list'],
    queryFn: async () =>
      (await api.get<{ readonly keypairs: readonly { readonly keypair: KeyPair }[] }>('/compute/v2.1/os-keypairs')).keypairs.map(
        ({ keypair }) => keypair,
      ),
  });
export async function importKeyPair(api: Api, name: string, publicKey: string): Promise<void> {
  await api.send('POST', '/compute/v2.1/os-keypairs', { keypair: { name, type: 'ssh', public_key: publicKey } });
}
export const deleteKeyPair = async (api: Api, name: string): Promise<void> =>
  api.send('DELETE', `/compute/v2.1/os-keypairs/${encodeURIComponent(name)}`);

export type GroupPolicy = 'affinity' | 'anti-affinity' | 'soft-affinity' | 'soft-anti-affinity';
export type ServerGroup = {
  readonly id: string;
  readonly name: string;
  readonly policy: GroupPolicy;
  readonly rules: { readonly max_server_per_host?: number };
  readonly members: readonly string[];
  readonly project_id: string;
};
/** Groups of the project; of all projects for the administrator's pages. */
export const serverGroupList = (api: Api, all: boolean) =>
  queryOptions({
    queryKey: ['server', 'groups', all],
    queryFn: async () =>
      (
        await api.get<{ readonly server_groups: readonly ServerGroup[] }>(
          `/compute/v2.1/os-server-groups${all ? '?all_projects=True' : ''}`,
        )
      ).server_groups,
  });
/** Groups with their members and what is not as the policy says: the caller's project's, every project's for admins. */
export const serverGroupViews = (api: Api) =>
  queryOptions({
    queryKey: ['server', 'group-views'],
    queryFn: async () => (await api.get<{ readonly serverGroups: readonly ServerGroupView[] }>('/godwit/v1/server-groups')).serverGroups,
  });
/** POST puts a server into a group where it is; DELETE takes it out. Nothing moves. */
export const changeMembership = async (api: Api, method: 'POST' | 'DELETE', group: string, server: string): Promise<unknown> =>
  api.send(method, `/godwit/v1/server-groups/${group}/members/${server}`);
export async function createServerGroup(api: Api, name: string, policy: GroupPolicy, most: number | null): Promise<void> {
  const rules = most === null ? {} : { rules: { max_server_per_host: most } };
  await api.send('POST', '/compute/v2.1/os-server-groups', { server_group: { name, policy, ...rules } });
}
export const deleteServerGroup = async (api: Api, id: string): Promise<void> => api.send('DELETE', `/compute/v2.1/os-server-groups/${id}`);

export type Aggregate = {
  readonly id: number;
  readonly name: string;
  readonly availability_zone: string | null;
  readonly hosts: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
};
export const aggregateList = (api: Api) =>
  queryOptions({
    queryKey: ['host', 'aggregates'],
    queryFn: async () => (await api.get<{ readonly aggregates: readonly Aggregate[] }>('/compute/v2.1/os-aggregates')).aggregates,
  });
export async function createAggregate(api: Api, name: string, zone: string | null): Promise<void> {
  await api.send('POST', '/compute/v2.1/os-aggregates', { aggregate: { name, ...(zone === null ? {} : { availability_zone: zone }) } });
}
export const deleteAggregate = async (api: Api, id: number): Promise<void> => api.send('DELETE', `/compute/v2.1/os-aggregates/${id}`);
export async function changeAggregateHost(api: Api, id: number, change: 'add_host' | 'remove_host', host: string): Promise<void> {
  await api.send('POST', `/compute/v2.1/os-aggregates/${id}/action`, { [change]: { host } });
}

export type Zone = { readonly zoneName: string; readonly zoneState: { readonly available: boolean } };
export const zoneList = (api: Api) =>
  queryOptions({
    queryKey: ['host', 'zones'],
    queryFn: async () =>
      (await api.get<{ readonly availabilityZoneInfo: readonly Zone[] }>('/compute/v2.1/os-availability-zone')).availabilityZoneInfo,
  });

export type Image = {
  readonly id: string;
  readonly name: string | null;
  readonly status: string;
  readonly visibility: string;
  readonly owner: string | null;
  readonly protected: boolean;
  readonly size: number | null;
  readonly virtual_size: number | null;
  readonly disk_format: string | null;
  readonly min_disk: number;
  readonly min_ram: number;
  readonly created_at: string;
};
export const imageList = (api: Api) =>
  queryOptions({
    queryKey: ['image', 'list'],
    queryFn: async (): Promise<readonly Image[]> => {
      const images: Image[] = [];
      let next: string | undefined = '/v2/images?limit=200';
      while (next !== undefined) {
        const page: { readonly images: readonly Image[]; readonly next?: string } = await api.get(`/image${next}`);
        images.push(...page.images);
        next = page.next;
      }
      return images;
    },
  });
export const deleteImage = async (api: Api, id: string): Promise<void> => api.send('DELETE', `/image/v2/images/${id}`);
