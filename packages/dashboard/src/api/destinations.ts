import type { HypervisorType } from '@godwit/domain/host';
import type { Reason } from '@godwit/domain/scheduling/explain';
import type { Load } from '@godwit/domain/scheduling/load';
import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

/** One host of the dialog's table: whether it may take the server, every reason why not, and its load before and after. */
export type Destination = {
  readonly id: string;
  readonly name: string;
  readonly zone: string;
  readonly hypervisorType: HypervisorType;
  readonly verdict: 'passes' | 'rejected';
  readonly reasons: readonly Reason[];
  readonly rank: number | null;
  readonly why: readonly string[];
  readonly tiedWithBest: boolean;
  readonly loadBefore: Load;
  readonly loadAfter: Load;
};

export type Destinations = {
  readonly server: {
    readonly id: string;
    readonly name: string;
    readonly host: { readonly id: string; readonly name: string } | null;
    readonly requestedZone: string | null;
    readonly group: { readonly id: string; readonly name: string; readonly policy: string } | null;
  };
  /** Why the server itself cannot be moved this way now. */
  readonly refusal: { readonly code: string; readonly message: string } | null;
  readonly chosen: { readonly id: string; readonly name: string } | null;
  readonly summary: string | null;
  readonly hosts: readonly Destination[];
};

/** All hosts at once, by the very filters and weighers that will place the server. A look, not a reservation. */
export const destinations = (api: Api, serverId: string, type: 'live' | 'cold', block: boolean | 'auto') =>
  queryOptions({
    queryKey: ['host', 'destinations', serverId, type, block],
    queryFn: async () => api.get<Destinations>(`/godwit/v1/servers/${serverId}/destinations?type=${type}&block=${block}`),
    staleTime: 0,
  });

export type Disk = {
  readonly id: string;
  readonly deviceIndex: number;
  readonly storage: 'shared' | 'local';
  readonly pool: string;
  readonly format: string;
  readonly sizeBytes: number;
  readonly imageId: string | null;
};

export const serverDisks = (api: Api, serverId: string) =>
  queryOptions({
    queryKey: ['server', 'disks', serverId],
    queryFn: async () => (await api.get<{ readonly disks: readonly Disk[] }>(`/godwit/v1/servers/${serverId}/disks`)).disks,
  });
