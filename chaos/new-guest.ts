import { type ChaosLab, until } from './chaos-lab.ts';

const BOOT_MS = 60_000;

/** A guest on a shared or on a local disk, as a user makes it. Resolves when it is ACTIVE. */
export async function newGuest(
  lab: ChaosLab,
  disk: 'shared' | 'local',
  options: { readonly name?: string; readonly host?: string } = {},
): Promise<{ readonly id: string; readonly delete: () => Promise<void> }> {
  type Named = { readonly id: string; readonly name: string };
  const flavorName = disk === 'local' ? 'demo.local' : 'demo.tiny';
  const { flavors } = await lab.ask<{ readonly flavors: readonly Named[] }>('compute', 'GET', '/flavors');
  const { images } = await lab.admin.request<{ readonly images: readonly Named[] }>('image', 'GET', '/v2/images?name=godwit-demo');
  const { networks } = await lab.admin.request<{ readonly networks: readonly Named[] }>('network', 'GET', '/v2.0/networks?name=demo');
  const flavorRef = flavors.find(({ name }) => name === flavorName)?.id;
  const [image, network] = [images[0], networks[0]];
  if (flavorRef === undefined || image === undefined || network === undefined) throw new Error('the lab is not seeded');
  const server = {
    name: options.name ?? `chaos-${disk}`,
    flavorRef,
    imageRef: image.id,
    networks: [{ uuid: network.id }],
    ...(options.host !== undefined && { host: options.host }),
  };
  const { server: made } = await lab.ask<{ readonly server: { readonly id: string } }>('compute', 'POST', '/servers', { server });
  await until('the guest is ACTIVE', BOOT_MS, async () => {
    const { status, fault } = await lab.server(made.id);
    if (status === 'ERROR') throw new Error(`the guest could not be made: ${fault?.message ?? 'no reason is given'}`);
    return status === 'ACTIVE' ? true : undefined;
  });
  return {
    id: made.id,
    delete: async () => {
      await lab.ask('compute', 'DELETE', `/servers/${made.id}`);
      await until('the guest is deleted', BOOT_MS, async () => {
        const { servers } = await lab.ask<{ readonly servers: readonly Named[] }>('compute', 'GET', '/servers');
        return servers.some(({ id }) => id === made.id) ? undefined : true;
      });
    },
  };
}
