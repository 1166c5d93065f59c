import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

/** How many vCPUs a server has, and the fewest and most that its flavor lets it have. */
export type Scale = { readonly vcpus: { readonly current: number; readonly least: number; readonly most: number } };

export const scale = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['server', 'scale', id],
    queryFn: async () => (await api.get<{ readonly server: Scale }>(`/godwit/v1/servers/${id}/scale`)).server,
  });

/** Accepted: what becomes of it is told by the server's action log. */
export async function scaleServer(api: Api, id: string, vcpus: number): Promise<void> {
  await api.send('POST', `/godwit/v1/servers/${id}/scale`, { vcpus });
}
