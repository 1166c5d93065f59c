import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { GuestImage } from '../guest/build-image.ts';
import { addresses } from '../network/topology.ts';
import { ApiFailure, type Credentials, type OpenStackClient, signIn } from './openstack-client.ts';

/** What a seeded cloud holds, by the names of the page that fixes them. */
export const seededNames = {
  image: 'godwit-demo',
  kernelImage: 'godwit-demo-kernel',
  ramdiskImage: 'godwit-demo-ramdisk',
  network: 'demo',
  subnet: 'demo',
  project: 'demo',
  user: 'demo',
  metalServer: 'metal-demo',
} as const;

/** ram in MiB, disk in GiB (0: as large as the image). 96 MiB holds the 14 MB kernel and the guest's services; 72 would just boot. */
export const seededFlavors = [
  { name: 'demo.tiny', vcpus: 1, ram: 96, disk: 0, extraSpecs: {} },
  { name: 'demo.small', vcpus: 1, ram: 256, disk: 1, extraSpecs: {} },
  { name: 'demo.local', vcpus: 1, ram: 96, disk: 1, extraSpecs: { 'godwit:storage': 'local' } },
  { name: 'demo.metal', vcpus: 32, ram: 131_072, disk: 1_000, extraSpecs: { 'capabilities:hypervisor_type': 'ironic' } },
] as const;

/**
 * Ten heartbeats a second show that a guest lives; a measurement asks for more over the control port. Without `tsc=reliable` the kernel gives
 * the TSC up under emulation and reads its time from acpi_pm instead: an exit to QEMU's main lock for every look at the clock.
 */
export const guestCommandLine = `console=ttyS0 quiet panic=-1 tsc=reliable swiotlb=noforce godwit.heartbeat=${addresses.client}:9100 godwit.heartbeat_hz=10`;

export interface SeedOptions {
  readonly admin: Credentials;
  readonly image: GuestImage;
  /** False when nobody knows the member's password any more: it gets a new one. */
  readonly memberIsKnown: boolean;
  /** Called with the member's credentials as soon as they are valid: kept at once, they survive a failure of the rest. */
  readonly onMember: (member: Credentials) => Promise<void>;
  readonly note: (line: string) => void;
}

/**
 * Makes what is missing of the demo cloud's images, flavors, network, project and member, through the public APIs. Idempotent by
 * name. Throws ApiFailure with the cloud's own words; what was made until then stays.
 */
export async function seedCloud(options: SeedOptions): Promise<void> {
  const { note } = options;
  const cloud = await signIn(options.admin);
  await Promise.all([
    seedMember(cloud, options).then(() => note(`seeded: project ${seededNames.project} with the plain member ${seededNames.user}`)),
    seedImages(cloud, options.image).then(() => note(`seeded: image ${seededNames.image}`)),
    seedFlavors(cloud).then(() => note(`seeded: flavors ${seededFlavors.map((flavor) => flavor.name).join(', ')}`)),
    seedNetwork(cloud).then(() => note(`seeded: network ${seededNames.network} ${addresses.guestSubnet}`)),
  ]);
  await seedSecurity(cloud);
  note('seeded: the default security groups let everything in, as the lab has clients outside');
}

interface Named {
  readonly id: string;
  readonly name: string;
}

interface Image extends Named {
  readonly status: string;
}

async function seedImages(cloud: OpenStackClient, guest: GuestImage): Promise<void> {
  const kernel = await ensureImage(cloud, seededNames.kernelImage, { disk_format: 'aki', container_format: 'aki' }, guest.kernelPath);
  const ramdisk = await ensureImage(cloud, seededNames.ramdiskImage, { disk_format: 'ari', container_format: 'ari' }, guest.initrdPath);
  // Standard OpenStack direct boot: kernel_id, ramdisk_id, os_command_line.
  await ensureImage(
    cloud,
    seededNames.image,
    {
      disk_format: 'qcow2',
      container_format: 'bare',
      min_ram: 72,
      min_disk: 0,
      kernel_id: kernel,
      ramdisk_id: ramdisk,
      os_command_line: guestCommandLine,
    },
    guest.diskPath,
  );
}

async function ensureImage(
  cloud: OpenStackClient,
  name: string,
  properties: Readonly<Record<string, unknown>>,
  file: string,
): Promise<string> {
  const { images } = await cloud.request<{ readonly images: readonly Image[] }>(
    'image',
    'GET',
    `/v2/images?name=${encodeURIComponent(name)}`,
  );
  const present = images.find((one) => one.name === name && one.status === 'active');
  if (present !== undefined) return present.id;
  // One whose upload was cut off: nobody can use it.
  for (const broken of images) if (broken.name === name) await cloud.request('image', 'DELETE', `/v2/images/${broken.id}`);
  const { id } = await cloud.request<Image>('image', 'POST', '/v2/images', { body: { name, visibility: 'public', ...properties } });
  const stream = Readable.toWeb(createReadStream(file)) as unknown as ReadableStream<Uint8Array>;
  await cloud.request('image', 'PUT', `/v2/images/${id}/file`, { stream, timeoutMs: 120_000 });
  return id;
}

async function seedFlavors(cloud: OpenStackClient): Promise<void> {
  const { flavors } = await cloud.request<{ readonly flavors: readonly Named[] }>('compute', 'GET', '/flavors?is_public=None');
  for (const { extraSpecs, ...flavor } of seededFlavors) {
    if (flavors.some((one) => one.name === flavor.name)) continue;
    const made = await cloud.request<{ readonly flavor: Named }>('compute', 'POST', '/flavors', {
      body: { flavor: { ...flavor, id: null } },
    });
    if (Object.keys(extraSpecs).length > 0) {
      await cloud.request('compute', 'POST', `/flavors/${made.flavor.id}/os-extra_specs`, { body: { extra_specs: extraSpecs } });
    }
  }
}

async function seedNetwork(cloud: OpenStackClient): Promise<void> {
  const { networks } = await cloud.request<{ readonly networks: readonly Named[] }>(
    'network',
    'GET',
    `/v2.0/networks?name=${seededNames.network}`,
  );
  const network =
    networks[0] ??
    (
      await cloud.request<{ readonly network: Named }>('network', 'POST', '/v2.0/networks', {
        body: { network: { name: seededNames.network, shared: true, admin_state_up: true } },
      })
    ).network;
  const { subnets } = await cloud.request<{ readonly subnets: readonly Named[] }>(
    'network',
    'GET',
    `/v2.0/subnets?network_id=${network.id}`,
  );
  if (subnets.length > 0) return;
  await cloud.request('network', 'POST', '/v2.0/subnets', {
    body: {
      subnet: {
        name: seededNames.subnet,
        network_id: network.id,
        ip_version: 4,
        cidr: addresses.guestSubnet,
        // Nothing routes: a gateway that does not exist would only make guests ask for it.
        gateway_ip: null,
        // The first nine belong to the lab: .2 is its client.
        allocation_pools: [{ start: '10.88.0.10', end: '10.88.0.250' }],
      },
    },
  });
}

/** The lab's clients stand outside of every project, and its guests are there to be reached. A project of one's own begins with a group that lets nothing in. */
async function seedSecurity(cloud: OpenStackClient): Promise<void> {
  type Group = { readonly id: string; readonly security_group_rules: readonly { readonly description: string }[] };
  const { projects } = await cloud.request<{ readonly projects: readonly Named[] }>('identity', 'GET', '/projects');
  for (const project of projects.filter(({ name }) => name === 'admin' || name === seededNames.project)) {
    const { security_groups } = await cloud.request<{ readonly security_groups: readonly Group[] }>(
      'network',
      'GET',
      `/v2.0/security-groups?name=default&project_id=${project.id}`,
    );
    for (const group of security_groups)
      for (const ethertype of ['IPv4', 'IPv6']) {
        const description = `lab: everything ${ethertype} may reach the guests`;
        if (group.security_group_rules.some((rule) => rule.description === description)) continue;
        await cloud.request('network', 'POST', '/v2.0/security-group-rules', {
          body: { security_group_rule: { security_group_id: group.id, direction: 'ingress', ethertype, description } },
        });
      }
  }
}

async function seedMember(cloud: OpenStackClient, { admin, memberIsKnown, onMember }: SeedOptions): Promise<void> {
  const { projects } = await cloud.request<{ readonly projects: readonly Named[] }>(
    'identity',
    'GET',
    `/projects?name=${seededNames.project}`,
  );
  const project =
    projects[0] ??
    (
      await cloud.request<{ readonly project: Named }>('identity', 'POST', '/projects', {
        body: { project: { name: seededNames.project, domain_id: 'default' } },
      })
    ).project;
  const { users } = await cloud.request<{ readonly users: readonly Named[] }>('identity', 'GET', `/users?name=${seededNames.user}`);
  const password = randomBytes(15).toString('base64url');
  const user =
    users[0] ??
    (
      await cloud.request<{ readonly user: Named }>('identity', 'POST', '/users', {
        body: { user: { name: seededNames.user, domain_id: 'default', password, default_project_id: project.id } },
      })
    ).user;
  const renew = users[0] !== undefined && !memberIsKnown;
  if (renew) await cloud.request('identity', 'PATCH', `/users/${user.id}`, { body: { user: { password } } });
  const { roles } = await cloud.request<{ readonly roles: readonly Named[] }>('identity', 'GET', '/roles?name=member');
  const [role] = roles;
  if (role === undefined) throw new Error('the cloud has no role "member"');
  await cloud.request('identity', 'PUT', `/projects/${project.id}/users/${user.id}/roles/${role.id}`);
  if (renew || users[0] === undefined) await onMember({ ...admin, userName: seededNames.user, password, projectName: seededNames.project });
}

interface MetalServer extends Named {
  readonly status: string;
  readonly fault?: { readonly message: string };
}

/**
 * The one bare-metal instance, so that its refusal can be seen. Idempotent; needs the bare-metal host to be up. Returns when
 * it is ACTIVE. Throws when it ends in ERROR or takes longer than half a minute.
 */
export async function seedMetalServer(admin: Credentials, wait: (look: () => Promise<boolean>) => Promise<void>): Promise<void> {
  const cloud = await signIn(admin);
  const list = () =>
    cloud.request<{ readonly servers: readonly MetalServer[] }>('compute', 'GET', `/servers/detail?name=${seededNames.metalServer}`);
  const find = async () => (await list()).servers.find((server) => server.name === seededNames.metalServer);
  const present = await find();
  // One that failed before: its host was not up then, say.
  if (present?.status === 'ERROR') {
    await cloud.request('compute', 'DELETE', `/servers/${present.id}`);
    await wait(async () => (await find()) === undefined);
  }
  if (present === undefined || present.status === 'ERROR') {
    const [images, flavors] = await Promise.all([
      cloud.request<{ readonly images: readonly Named[] }>('image', 'GET', `/v2/images?name=${seededNames.image}`),
      cloud.request<{ readonly flavors: readonly Named[] }>('compute', 'GET', '/flavors?is_public=None'),
    ]);
    const imageRef = images.images[0]?.id;
    const flavorRef = flavors.flavors.find((flavor) => flavor.name === 'demo.metal')?.id;
    await cloud.request('compute', 'POST', '/servers', {
      body: { server: { name: seededNames.metalServer, imageRef, flavorRef, networks: 'none' } },
    });
  }
  await wait(async () => {
    const server = await find();
    if (server?.status === 'ERROR') throw new ApiFailure('POST', '/servers', 500, `${seededNames.metalServer} ended in ERROR`);
    return server?.status === 'ACTIVE';
  });
}
