import type { ConvergencePolicy } from '@godwit/domain/convergence/policy';
import type { ServerFacts } from '@godwit/domain/server-states';
import { infiniteQueryOptions, type QueryClient, queryOptions } from '@tanstack/react-query';
import type { View } from '../sidebar.ts';
import { type Api, ApiRefusal } from './request.ts';
import { isAdmin } from './session.ts';

/** A server as the compute API shows it from 2.75 on; what only an admin sees may be absent. */
export type Server = {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly progress?: number;
  readonly tenant_id: string;
  readonly user_id: string;
  readonly created: string;
  readonly updated: string;
  readonly locked: boolean;
  readonly description: string | null;
  readonly key_name: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly image: '' | { readonly id: string };
  readonly flavor: {
    readonly original_name: string;
    readonly vcpus: number;
    readonly ram: number;
    readonly disk: number;
    readonly extra_specs?: Readonly<Record<string, string>>;
  };
  readonly addresses: Readonly<
    Record<string, readonly { readonly addr: string; readonly version: 4 | 6; readonly 'OS-EXT-IPS-MAC:mac_addr': string }[]>
  >;
  readonly fault?: { readonly code: number; readonly message: string; readonly details?: string; readonly created: string };
  readonly server_groups?: readonly string[];
  readonly security_groups?: readonly { readonly name: string }[];
  readonly 'OS-EXT-AZ:availability_zone': string;
  readonly 'OS-EXT-STS:vm_state': ServerFacts['vmState'];
  readonly 'OS-EXT-STS:task_state': ServerFacts['taskState'];
  readonly 'OS-EXT-STS:power_state': number;
  readonly 'OS-EXT-SRV-ATTR:host'?: string | null;
  readonly 'OS-EXT-SRV-ATTR:instance_name'?: string;
};

/** What the Instances pages filter by: all by the API, but a group's members, which are asked for one by one. */
export type ServerFilters = {
  readonly name?: string;
  readonly host?: string;
  readonly status?: string;
  readonly project?: string;
  readonly group?: string;
};

export type ServerPage = {
  readonly servers: readonly Server[];
  readonly servers_links?: readonly { readonly rel: string; readonly href: string }[];
};

/** The first page is what fits on screen a few times over, so that it is there at once; the others are fetched while it is read. */
const pageSizes = { first: 100, later: 500 } as const;

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Servers page by page, newest first: the next page is fetched when the table is scrolled near its end. */
export const serverList = (api: Api, view: View, filters: ServerFilters) =>
  infiniteQueryOptions({
    queryKey: ['server', 'list', view, filters],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam }) => {
      const query = new URLSearchParams({ limit: String(pageParam === null ? pageSizes.first : pageSizes.later) });
      if (view === 'admin') query.set('all_tenants', '1');
      // The API takes a regular expression; people type plain text.
      if (filters.name !== undefined) query.set('name', escaped(filters.name));
      if (filters.host !== undefined && view === 'admin') query.set('host', filters.host);
      if (filters.status !== undefined) query.set('status', filters.status);
      if (filters.project !== undefined && view === 'admin') query.set('project_id', filters.project);
      if (pageParam !== null) query.set('marker', pageParam);
      return api.get<ServerPage>(`/compute/v2.1/servers/detail?${query}`);
    },
    getNextPageParam: (page) =>
      page.servers_links?.some((link) => link.rel === 'next') === true ? (page.servers.at(-1)?.id ?? null) : null,
  });

/** The newest servers whose name holds the text: enough for a list to choose from, whatever the size of the cloud. */
export const serversNamed = (api: Api, view: View, text: string) =>
  queryOptions({
    queryKey: ['server', 'named', view, text],
    queryFn: async () => {
      const query = new URLSearchParams({ limit: '50', ...(view === 'admin' ? { all_tenants: '1' } : {}) });
      if (text.trim() !== '') query.set('name', escaped(text.trim()));
      return (await api.get<ServerPage>(`/compute/v2.1/servers/detail?${query}`)).servers;
    },
    placeholderData: (before) => before,
  });

/** Every server of a status, up to a thousand: for statuses that few are in. */
export const serversWithStatus = (api: Api, view: View, status: 'VERIFY_RESIZE' | 'ERROR') =>
  queryOptions({
    queryKey: ['server', 'list', status, view],
    queryFn: async () => {
      const query = new URLSearchParams({ status, limit: '1000', ...(view === 'admin' ? { all_tenants: '1' } : {}) });
      return (await api.get<ServerPage>(`/compute/v2.1/servers/detail?${query}`)).servers;
    },
  });

/** The servers themselves, one request each: for a group's few members. Those that are gone meanwhile are left out. */
export const serversById = (api: Api, ids: readonly string[]) =>
  queryOptions({
    queryKey: ['server', 'by-id', ids],
    queryFn: async (): Promise<readonly Server[]> => {
      const found = await Promise.all(
        ids.map(async (id) =>
          api.get<{ readonly server: Server }>(`/compute/v2.1/servers/${id}`).then(
            ({ server }) => server,
            (error: unknown) => {
              if (error instanceof ApiRefusal && error.status === 404) return null;
              throw error;
            },
          ),
        ),
      );
      return found.filter((server) => server !== null);
    },
  });

/** A server as some list that was looked at has it: enough to show its page while it is asked for. */
export function listedServer(queries: QueryClient, id: string): Server | undefined {
  type Listed = readonly Server[] | { readonly pages: readonly ServerPage[] };
  const lists = queries.getQueriesData<Listed>({ queryKey: ['server', 'list'] });
  return lists
    .flatMap(([, listed]) => (listed === undefined ? [] : 'pages' in listed ? listed.pages.flatMap(({ servers }) => servers) : listed))
    .find((server) => server.id === id);
}

export const serverShow = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['server', 'show', id],
    queryFn: async () => (await api.get<{ readonly server: Server }>(`/compute/v2.1/servers/${id}`)).server,
  });

export type InstanceAction = {
  readonly action: string;
  readonly request_id: string;
  readonly user_id: string | null;
  readonly start_time: string;
  readonly updated_at: string;
  readonly message: string | null;
};

export type InstanceActionEvent = {
  readonly event: string;
  readonly start_time: string;
  readonly finish_time: string | null;
  readonly result: string | null;
  readonly host?: string | null;
  readonly details?: string | null;
};

export const serverActionLog = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['server', 'actions', id],
    queryFn: async () =>
      (await api.get<{ readonly instanceActions: readonly InstanceAction[] }>(`/compute/v2.1/servers/${id}/os-instance-actions`))
        .instanceActions,
  });

export const serverActionEvents = (api: Api, id: string, requestId: string) =>
  queryOptions({
    queryKey: ['server', 'actions', id, requestId],
    queryFn: async () =>
      (
        await api.get<{ readonly instanceAction: { readonly events?: readonly InstanceActionEvent[] } }>(
          `/compute/v2.1/servers/${id}/os-instance-actions/${requestId}`,
        )
      ).instanceAction.events ?? [],
  });

/** The last lines of the guest's serial console. */
export const consoleLog = (api: Api, id: string, lines: number) =>
  queryOptions({
    queryKey: ['console', id, lines],
    queryFn: async () =>
      (
        await api.send<{ readonly output: string }>('POST', `/compute/v2.1/servers/${id}/action`, {
          'os-getConsoleOutput': { length: lines },
        })
      ).output,
    staleTime: 0,
  });

/** Bodies of the actions that need no dialog of their own. */
const actionBodies = {
  'confirm-resize': { confirmResize: null },
  'revert-resize': { revertResize: null },
  start: { 'os-start': null },
  stop: { 'os-stop': null },
  pause: { pause: null },
  unpause: { unpause: null },
  suspend: { suspend: null },
  resume: { resume: null },
  reboot: { reboot: { type: 'SOFT' } },
  'reboot-hard': { reboot: { type: 'HARD' } },
  rescue: { rescue: {} },
  unrescue: { unrescue: null },
  shelve: { shelve: null },
  unshelve: { unshelve: null },
  lock: { lock: null },
  unlock: { unlock: null },
} as const;
export type PlainAction = keyof typeof actionBodies | 'delete';

/** Resolves when the API has accepted the action; what becomes of it is told by the server's own state. */
export async function act(api: Api, id: string, action: PlainAction): Promise<void> {
  if (action === 'delete') await api.send('DELETE', `/compute/v2.1/servers/${id}`);
  else await api.send('POST', `/compute/v2.1/servers/${id}/action`, actionBodies[action]);
}

/** Accepted: queued, not done. `host` null: the scheduler picks. The compute API has no word for a policy of one move: with one, Godwit's own API is asked. */
export async function liveMigrate(
  api: Api,
  id: string,
  request: { readonly host: string | null; readonly blockMigration: boolean | 'auto'; readonly policy: Partial<ConvergencePolicy> },
): Promise<void> {
  if (Object.keys(request.policy).length > 0) await api.send('POST', `/godwit/v1/servers/${id}/live-migrations`, request);
  else
    await api.send('POST', `/compute/v2.1/servers/${id}/action`, {
      'os-migrateLive': { host: request.host, block_migration: request.blockMigration },
    });
}

export async function coldMigrate(api: Api, id: string, host: string | null): Promise<void> {
  await api.send('POST', `/compute/v2.1/servers/${id}/action`, { migrate: host === null ? null : { host } });
}

/** Accepted: the guest is shut down, resized and started, and its owner then confirms or reverts. */
export async function resizeServer(api: Api, id: string, flavorId: string): Promise<void> {
  await api.send('POST', `/compute/v2.1/servers/${id}/action`, { resize: { flavorRef: flavorId } });
}

/** Accepted: the guest is started anew from the image, under its name, addresses and size; what is on its root disk is lost. */
export async function rebuildServer(api: Api, id: string, imageId: string): Promise<void> {
  await api.send('POST', `/compute/v2.1/servers/${id}/action`, { rebuild: { imageRef: imageId } });
}

/** Accepted: an image is made of the root disk as it is at one moment. Answers the image's id. */
export async function createImageOf(api: Api, id: string, name: string): Promise<string> {
  return (await api.send<{ readonly image_id: string }>('POST', `/compute/v2.1/servers/${id}/action`, { createImage: { name } })).image_id;
}

export type LaunchRequest = {
  readonly name: string;
  readonly imageRef: string;
  readonly flavorRef: string;
  readonly networks: 'auto' | 'none' | readonly { readonly uuid: string }[];
  readonly min_count: number;
  readonly max_count: number;
  readonly key_name?: string;
  readonly security_groups?: readonly { readonly name: string }[];
  readonly availability_zone?: string;
};

export async function launch(api: Api, server: LaunchRequest, group: string | null): Promise<string> {
  const body = { server, ...(group === null ? {} : { 'os:scheduler_hints': { group } }) };
  return (await api.send<{ readonly server: { readonly id: string } }>('POST', '/compute/v2.1/servers', body)).server.id;
}

/** Who asks, as domain's table of actions wants it. */
export const callerFacts = ({ session }: Api) => ({ projectId: session.project.id, roles: session.roles, isAdmin: isAdmin(session) });

export const hostOf = (server: Server): string | null => server['OS-EXT-SRV-ATTR:host'] ?? null;
export const addressesOf = (server: Server): readonly string[] =>
  Object.values(server.addresses).flatMap((list) => list.map(({ addr }) => addr));
