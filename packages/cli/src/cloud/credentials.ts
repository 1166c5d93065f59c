import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CommandError, exitCodes } from '../command-error.ts';
import { isObject, type Json, type JsonObject, objectAt } from '../json.ts';

/** How to sign in, and how to talk to the cloud. */
export interface Credentials {
  readonly authUrl: string;
  readonly method:
    | { readonly kind: 'password'; readonly user: Named; readonly password: string }
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'application credential'; readonly id: string; readonly secret: string };
  /** What the token is for; null: unscoped. */
  readonly project: Named | null;
  readonly region: string | null;
  readonly interface: 'public' | 'internal' | 'admin';
  /** The compute microversion of every request, `2.1` unless chosen: the `openstack` command's default. */
  readonly computeApiVersion: string;
  readonly verifyTls: boolean;
  /** A PEM file of authorities to trust beside the system's. */
  readonly caFile: string | null;
}

/** A user or a project: by its id, or by its name within a domain. */
export type Named =
  | { readonly id: string }
  | { readonly name: string; readonly domain: { readonly id: string } | { readonly name: string } };

type Settings = ReadonlyMap<string, string>;

/**
 * The credentials that options, `OS_*` variables and `clouds.yaml` give, in that order of precedence. `options` are keyed like the variables.
 * Throws a `CommandError` that names what is missing.
 */
export async function readCredentials(options: Settings, env: Readonly<Record<string, string | undefined>>): Promise<Credentials> {
  const settings = new Map<string, string>();
  for (const [key, value] of Object.entries(env))
    if (key.startsWith('OS_') && value !== undefined && value !== '') settings.set(key, value);
  for (const [key, value] of options) settings.set(key, value);
  const cloud = settings.get('OS_CLOUD');
  if (cloud !== undefined)
    for (const [key, value] of await cloudSettings(cloud, settings.get('OS_CLIENT_CONFIG_FILE')))
      if (!options.has(key)) settings.set(key, value);
  return credentialsFrom(settings);
}

function credentialsFrom(settings: Settings): Credentials {
  const authUrl = settings.get('OS_AUTH_URL');
  if (authUrl === undefined)
    throw new CommandError('Missing value auth-url required for auth plugin password', {
      exitCode: exitCodes.unreachable,
      next: 'Source the openrc.sh of your project, or name a cloud of clouds.yaml with --os-cloud.',
    });
  const version = settings.get('OS_COMPUTE_API_VERSION') ?? '2.1';
  if (version !== 'latest' && !/^2(\.\d+)?$/.test(version))
    throw new CommandError(`The compute API version "${version}" is not of the form 2.n.`, { exitCode: exitCodes.usage });
  const face = (settings.get('OS_INTERFACE') ?? settings.get('OS_ENDPOINT_TYPE') ?? 'public').replace(/URL$/, '');
  return {
    authUrl: authUrl.replace(/\/+$/, ''),
    method: methodFrom(settings),
    project: named(settings, 'PROJECT') ?? named(settings, 'TENANT'),
    region: settings.get('OS_REGION_NAME') ?? null,
    interface: face === 'internal' || face === 'admin' ? face : 'public',
    computeApiVersion: version === '2' ? '2.1' : version,
    verifyTls: !['true', '1', 'yes'].includes((settings.get('OS_INSECURE') ?? '').toLowerCase()),
    caFile: settings.get('OS_CACERT')?.replace(/^~(?=\/)/, homedir()) ?? null,
  };
}

function methodFrom(settings: Settings): Credentials['method'] {
  const type = settings.get('OS_AUTH_TYPE') ?? '';
  const id = settings.get('OS_APPLICATION_CREDENTIAL_ID');
  const secret = settings.get('OS_APPLICATION_CREDENTIAL_SECRET');
  if (id !== undefined && secret !== undefined) return { kind: 'application credential', id, secret };
  const token = settings.get('OS_TOKEN');
  if (token !== undefined && (type === '' || type.includes('token'))) return { kind: 'token', token };
  const user = named(settings, 'USER') ?? named(settings, 'USERNAME');
  const password = settings.get('OS_PASSWORD');
  if (user === null || password === undefined)
    throw new CommandError(`Missing value ${user === null ? 'username' : 'password'} required for auth plugin password`, {
      exitCode: exitCodes.unreachable,
      next: 'Set OS_USERNAME and OS_PASSWORD, or OS_TOKEN.',
    });
  return { kind: 'password', user, password };
}

function named(settings: Settings, what: 'PROJECT' | 'TENANT' | 'USER' | 'USERNAME'): Named | null {
  const id = settings.get(`OS_${what}_ID`);
  if (id !== undefined) return { id };
  const name = settings.get(what === 'USERNAME' ? 'OS_USERNAME' : `OS_${what}_NAME`);
  if (name === undefined) return null;
  const kind = what === 'PROJECT' || what === 'TENANT' ? 'PROJECT' : 'USER';
  const domainId = settings.get(`OS_${kind}_DOMAIN_ID`) ?? settings.get('OS_DEFAULT_DOMAIN_ID');
  const domainName = settings.get(`OS_${kind}_DOMAIN_NAME`) ?? settings.get('OS_DEFAULT_DOMAIN_NAME') ?? settings.get('OS_DEFAULT_DOMAIN');
  if (domainId !== undefined) return { name, domain: { id: domainId } };
  return { name, domain: domainName === undefined ? { id: 'default' } : { name: domainName } };
}

/** One cloud of `clouds.yaml` (with `secure.yaml` laid over it) as `OS_*` settings, from the places where OpenStack's tools look. */
async function cloudSettings(name: string, file: string | undefined): Promise<Settings> {
  const places =
    file === undefined ? ['.', join(homedir(), '.config/openstack'), '/etc/openstack'].map((each) => join(each, 'clouds.yaml')) : [file];
  for (const place of places) {
    const clouds = objectAt(await readYaml(place), 'clouds');
    const cloud = clouds[name];
    if (!isObject(cloud)) continue;
    const secure = objectAt(objectAt(await readYaml(place.replace(/clouds\.ya?ml$/, 'secure.yaml')), 'clouds'), name);
    return asSettings({ ...cloud, ...secure, auth: { ...objectAt(cloud, 'auth'), ...objectAt(secure, 'auth') } });
  }
  throw new CommandError(`Cloud ${name} was not found.`, {
    exitCode: exitCodes.unreachable,
    next: `It was looked for in ${places.join(', ')}.`,
  });
}

async function readYaml(path: string): Promise<Json> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return null;
  }
  const { parse } = await import('yaml');
  try {
    return parse(text) as Json;
  } catch (error) {
    throw new CommandError(`${path} is not YAML: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`, {
      exitCode: exitCodes.usage,
    });
  }
}

function asSettings(cloud: JsonObject): Settings {
  const settings = new Map<string, string>();
  const put = (key: string, value: Json | undefined) => {
    if (typeof value === 'string' || typeof value === 'number') settings.set(key, String(value));
  };
  for (const [key, value] of Object.entries(objectAt(cloud, 'auth'))) put(`OS_${key.toUpperCase()}`, value);
  for (const key of ['region_name', 'interface', 'compute_api_version', 'cacert', 'auth_type']) put(`OS_${key.toUpperCase()}`, cloud[key]);
  if (cloud.verify === false) settings.set('OS_INSECURE', 'true');
  return settings;
}
