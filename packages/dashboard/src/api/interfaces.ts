import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

/** A network card of a server: the port behind it. */
export type Interface = {
  readonly port_id: string;
  readonly net_id: string;
  readonly mac_addr: string;
  readonly port_state: string;
  readonly fixed_ips: readonly { readonly subnet_id: string; readonly ip_address: string }[];
};

/** Under the server's own key: what is told of the server refreshes its interfaces. */
export const serverInterfaces = (api: Api, server: string) =>
  queryOptions({
    queryKey: ['server', 'show', server, 'interfaces'],
    queryFn: async () =>
      (await api.get<{ readonly interfaceAttachments: readonly Interface[] }>(`/compute/v2.1/servers/${server}/os-interface`))
        .interfaceAttachments,
  });

export type NewInterface =
  | { readonly port_id: string }
  | { readonly net_id: string; readonly fixed_ips?: readonly { readonly ip_address: string }[] };

/** Resolves when the guest has it: the API answers no sooner. */
export async function attachInterface(api: Api, server: string, interfaceAttachment: NewInterface): Promise<void> {
  await api.send('POST', `/compute/v2.1/servers/${server}/os-interface`, { interfaceAttachment });
}

/** Accepted: the server keeps it until its guest has given it up. */
export const detachInterface = async (api: Api, server: string, port: string): Promise<unknown> =>
  api.send('DELETE', `/compute/v2.1/servers/${server}/os-interface/${port}`);

export type FreePort = {
  readonly id: string;
  readonly name: string;
  readonly network_id: string;
  readonly mac_address: string;
  readonly fixed_ips: readonly { readonly ip_address: string }[];
};

/** Ports of a project that nothing has yet. */
export const freePorts = (api: Api, project: string) =>
  queryOptions({
    queryKey: ['network', 'free-ports', project],
    queryFn: async () => {
      const query = new URLSearchParams({ device_id: '', project_id: project });
      return (await api.get<{ readonly ports: readonly FreePort[] }>(`/network/v2.0/ports?${query}`)).ports;
    },
    staleTime: 0,
  });
