import { CommandError } from '../command-error.ts';
import { type JsonObject, objectAt, textAt } from '../json.ts';
import type { Cloud, ServiceName } from './cloud.ts';
import { HttpError } from './http.ts';
import type { Query, Service } from './service.ts';

interface Kind {
  readonly service: ServiceName;
  /** As the sentence of a failure says it: `No server with a name or ID of 'x' exists.` */
  readonly noun: string;
  readonly path: string;
  readonly one: string;
  readonly many: string;
  /** A list whose members are whole, and the query that narrows it to a name. */
  readonly listPath?: string;
  readonly byName?: (name: string) => Query;
  /** A second search, where the first one finds nothing of that name. */
  readonly elseBy?: (name: string) => Query;
  /** Glance answers an image without a key around it. */
  readonly bare?: boolean;
}

/** Everything that commands take by name or id. */
export const kinds = {
  server: {
    service: 'compute',
    noun: 'server',
    path: '/servers',
    one: 'server',
    many: 'servers',
    listPath: '/servers/detail',
    byName: (name) => ({ name: `^${name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$` }),
  },
  flavor: {
    service: 'compute',
    noun: 'flavor',
    path: '/flavors',
    one: 'flavor',
    many: 'flavors',
    listPath: '/flavors/detail',
    byName: () => ({ is_public: 'None' }),
  },
  group: { service: 'compute', noun: 'server group', path: '/os-server-groups', one: 'server_group', many: 'server_groups' },
  aggregate: { service: 'compute', noun: 'aggregate', path: '/os-aggregates', one: 'aggregate', many: 'aggregates' },
  image: {
    service: 'image',
    noun: 'image',
    path: '/images',
    one: 'image',
    many: 'images',
    byName: (name) => ({ name }),
    elseBy: (name) => ({ name, os_hidden: true }),
    bare: true,
  },
  network: { service: 'network', noun: 'network', path: '/networks', one: 'network', many: 'networks', byName: (name) => ({ name }) },
  subnet: { service: 'network', noun: 'subnet', path: '/subnets', one: 'subnet', many: 'subnets', byName: (name) => ({ name }) },
  port: { service: 'network', noun: 'port', path: '/ports', one: 'port', many: 'ports', byName: (name) => ({ name }) },
  'security group': {
    service: 'network',
    noun: 'security group',
    path: '/security-groups',
    one: 'security_group',
    many: 'security_groups',
    byName: (name) => ({ name }),
  },
  project: { service: 'identity', noun: 'project', path: '/projects', one: 'project', many: 'projects', byName: (name) => ({ name }) },
  user: { service: 'identity', noun: 'user', path: '/users', one: 'user', many: 'users', byName: (name) => ({ name }) },
  role: { service: 'identity', noun: 'role', path: '/roles', one: 'role', many: 'roles', byName: (name) => ({ name }) },
  domain: { service: 'identity', noun: 'domain', path: '/domains', one: 'domain', many: 'domains', byName: (name) => ({ name }) },
} as const satisfies Readonly<Record<string, Kind>>;

export type KindName = keyof typeof kinds;

/**
 * The one thing that `given` names, whole: by id first, by name otherwise. `query` widens or narrows the search by name (`all_tenants`).
 * Throws a `CommandError` when nothing or more than one has that name.
 */
export async function find(cloud: Cloud, kindName: KindName, given: string, query: Query = {}): Promise<JsonObject> {
  const kind: Kind = kinds[kindName];
  const service = await cloud.service(kind.service);
  const byId = await byIdOrNull(service, kind, given);
  if (byId !== null) return byId;
  const search = async (by: Query | undefined): Promise<readonly JsonObject[]> =>
    (await service.all(kind.listPath ?? kind.path, kind.many, { ...by, ...query })).filter((each) => each.name === given);
  let named = await search(kind.byName?.(given));
  if (named.length === 0 && kind.elseBy !== undefined) named = await search(kind.elseBy(given));
  if (named.length === 0)
    throw new CommandError(`No ${kind.noun} with a name or ID of '${given}' exists.`, {
      next: `\`godwit ${kind.noun} list\` shows what there is.`,
    });
  if (named.length > 1)
    throw new CommandError(`More than one ${kind.noun} exists with the name '${given}'.`, {
      next: `Use one of the ids: ${named.map((each) => textAt(each, 'id')).join(', ')}.`,
    });
  return named[0] ?? {};
}

/** The id of what `given` names. */
export const findId = async (cloud: Cloud, kindName: KindName, given: string, query: Query = {}): Promise<string> =>
  textAt(await find(cloud, kindName, given, query), 'id');

async function byIdOrNull(service: Service, kind: Kind, given: string): Promise<JsonObject | null> {
  if (given === '' || given.includes('/')) return null;
  try {
    const body = await service.get(`${kind.path}/${encodeURIComponent(given)}`);
    return kind.bare === true ? objectAt({ body }, 'body') : objectAt(body, kind.one);
  } catch (error) {
    // A name is no id: some clouds say 404, some 400.
    if (error instanceof HttpError && [400, 403, 404].includes(error.status)) return null;
    throw error;
  }
}
