import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

export type Bounds = { readonly current: number; readonly least: number; readonly most: number };
/** How many vCPUs and how much memory a server has, and the least and most that its flavor lets it have. */
export type Scale = { readonly vcpus: Bounds; readonly ramMib: Bounds };
/** What it is to have; what is absent stays. */
export type Size = { readonly vcpus?: number; readonly ramMib?: number };

export const scale = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['server', 'scale', id],
    queryFn: async () => (await api.get<{ readonly server: Scale }>(`/godwit/v1/servers/${id}/scale`)).server,
  });

/** Accepted: what becomes of it is told by the server's action log. */
export async function scaleServer(api: Api, id: string, size: Size): Promise<void> {
  await api.send('POST', `/godwit/v1/servers/${id}/scale`, size);
}
