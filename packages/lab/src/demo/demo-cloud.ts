import type { MigrationMeasures } from '@godwit/domain/migration';
import { ApiFailure, type OpenStackClient } from '../cloud/openstack-client.ts';
import { LabError } from '../lab-error.ts';
import { waitFor } from '../wait-for.ts';

export interface DemoServer {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly host: string;
  readonly address: string;
}

interface ServerView {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly 'OS-EXT-SRV-ATTR:host': string | null;
  readonly addresses: Readonly<Record<string, readonly { readonly addr: string }[]>>;
  readonly fault?: { readonly message: string };
}

/** A row of GET /os-migrations. */
interface MigrationRow {
  readonly id: number;
  readonly uuid: string;
  readonly status: string;
  readonly source_compute: string;
  readonly dest_compute: string;
}

/** The measured part of a move, from Godwit's own API. */
export interface MoveRecord {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly source: string;
  readonly destination: string;
  readonly measures: Partial<MigrationMeasures>;
  readonly ramBytes: number | null;
  /** Copied from local disks; 0: none were copied. */
  readonly diskBytes: number | null;
  readonly sentence: string | null;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
}

const serverView = async (cloud: OpenStackClient, id: string): Promise<ServerView> =>
  (await cloud.request<{ readonly server: ServerView }>('compute', 'GET', `/servers/${id}`)).server;

export async function showServer(cloud: OpenStackClient, id: string): Promise<DemoServer> {
  const view = await serverView(cloud, id);
  const address = Object.values(view.addresses).flat()[0]?.addr ?? '';
  return { id: view.id, name: view.name, status: view.status, host: view['OS-EXT-SRV-ATTR:host'] ?? '', address };
}

/**
 * A running guest of that name: the one there is, started if it is off, replaced if it is in ERROR; else a new one. Throws LabError NOT_READY
 * with the server's own fault when it does not come up.
 */
export async function ensureGuest(cloud: OpenStackClient, name: string, flavor: string): Promise<DemoServer> {
  const { servers } = await cloud.request<{ readonly servers: readonly ServerView[] }>('compute', 'GET', `/servers/detail?name=${name}`);
  let present = servers.find((server) => server.name === name);
  if (present?.status === 'ERROR') {
    await deleteGuest(cloud, present.id);
    present = undefined;
  }
  if (present?.status === 'SHUTOFF')
    await cloud.request('compute', 'POST', `/servers/${present.id}/action`, { body: { 'os-start': null } });
  const id = present?.id ?? (await createGuest(cloud, name, flavor));
  await waitFor(
    `the guest ${name} did not become ACTIVE`,
    async () => {
      const view = await serverView(cloud, id);
      if (view.status === 'ERROR')
        throw new LabError('NOT_READY', `the guest ${name} ended in ERROR: ${view.fault?.message ?? 'no fault was recorded'}`);
      return view.status === 'ACTIVE';
    },
    60_000,
  );
  return showServer(cloud, id);
}

async function deleteGuest(cloud: OpenStackClient, id: string): Promise<void> {
  await cloud.request('compute', 'DELETE', `/servers/${id}`);
  await waitFor(
    `the server ${id} was not deleted`,
    async () =>
      serverView(cloud, id).then(
        () => false,
        (error: unknown) => error instanceof ApiFailure && error.status === 404,
      ),
    60_000,
  );
}

async function createGuest(cloud: OpenStackClient, name: string, flavor: string): Promise<string> {
  const [{ images }, { flavors }, { networks }] = await Promise.all([
    cloud.request<{ readonly images: readonly { readonly id: string }[] }>('image', 'GET', '/v2/images?name=godwit-demo'),
    cloud.request<{ readonly flavors: readonly { readonly id: string; readonly name: string }[] }>(
      'compute',
      'GET',
      '/flavors?is_public=None',
    ),
    cloud.request<{ readonly networks: readonly { readonly id: string }[] }>('network', 'GET', '/v2.0/networks?name=demo'),
  ]);
  const flavorRef = flavors.find((one) => one.name === flavor)?.id;
  const body = { server: { name, imageRef: images[0]?.id, flavorRef, networks: [{ uuid: networks[0]?.id }] } };
  return (await cloud.request<{ readonly server: { readonly id: string } }>('compute', 'POST', '/servers', { body })).server.id;
}

/** Asks for a live migration to a host of the scheduler's choice, and returns the record's UUID. `block`: local disks have to be copied. */
export async function startMove(cloud: OpenStackClient, serverId: string, block: boolean | 'auto' = 'auto'): Promise<string> {
  const rows = () =>
    cloud
      .request<{ readonly migrations: readonly MigrationRow[] }>(
        'compute',
        'GET',
        `/os-migrations?instance_uuid=${serverId}&migration_type=live-migration`,
      )
      .then((answer) => answer.migrations);
  const before = new Set((await rows()).map((row) => row.uuid));
  await cloud.request('compute', 'POST', `/servers/${serverId}/action`, {
    body: { 'os-migrateLive': { host: null, block_migration: block } },
  });
  const made = (await rows()).find((row) => !before.has(row.uuid));
  if (made === undefined) throw new LabError('NOT_READY', 'the cloud accepted a migration and has no record of it');
  return made.uuid;
}

/** GET /godwit/v1/migrations/{id}, as far as the demo reads it. */
interface GodwitMigration {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly source: { readonly name: string } | null;
  readonly destination: { readonly name: string } | null;
  readonly memory: { readonly processedBytes: number | null };
  readonly disk: { readonly processedBytes: number | null };
  readonly measures: Partial<MigrationMeasures>;
  readonly outcome: { readonly sentence: string } | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

export async function moveRecord(cloud: OpenStackClient, id: string): Promise<MoveRecord> {
  const { migration } = await cloud.request<{ readonly migration: GodwitMigration }>('godwit', 'GET', `/migrations/${id}`);
  return {
    id: migration.id,
    status: migration.status,
    phase: migration.phase,
    source: migration.source?.name ?? '',
    destination: migration.destination?.name ?? '',
    measures: migration.measures,
    ramBytes: migration.memory.processedBytes,
    diskBytes: migration.disk.processedBytes,
    sentence: migration.outcome?.sentence ?? null,
    createdAtMs: Date.parse(migration.createdAt),
    finishedAtMs: migration.finishedAt === null ? null : Date.parse(migration.finishedAt),
  };
}

/** QEMU's version as the compute API reports it (major × 10^6 + minor × 10^3 + patch), of the first host that has one. */
export async function qemuVersion(cloud: OpenStackClient): Promise<string> {
  const { hypervisors } = await cloud.request<{
    readonly hypervisors: readonly { readonly hypervisor_type: string; readonly hypervisor_version: number }[];
  }>('compute', 'GET', '/os-hypervisors/detail');
  const version = hypervisors.find((one) => one.hypervisor_type === 'QEMU')?.hypervisor_version;
  return version === undefined ? 'unknown' : [Math.floor(version / 1e6), Math.floor(version / 1e3) % 1e3, version % 1e3].join('.');
}
