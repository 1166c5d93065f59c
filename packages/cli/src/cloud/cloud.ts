import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, type JsonObject, objectAt, objectsAt, textAt } from '../json.ts';
import type { Credentials, Named } from './credentials.ts';
import { configureTls, headerOf, send, succeeded } from './http.ts';
import { Service } from './service.ts';
import type { TokenCache } from './token-cache.ts';

/** The types under which services stand in catalogs; the first found counts. */
const serviceTypes = {
  compute: ['compute'],
  image: ['image'],
  network: ['network'],
  placement: ['placement'],
  identity: ['identity'],
  godwit: ['godwit', 'migration'],
} as const;

export type ServiceName = keyof typeof serviceTypes;

/** A cloud one is signed in to. Signing in happens with the first request that needs it, once, unless an earlier command's token still holds. */
export class Cloud {
  readonly credentials: Credentials;
  readonly #cache: TokenCache | null;
  #token: Promise<Token> | null = null;
  #renewed: Promise<Token> | null = null;

  constructor(credentials: Credentials, cache: TokenCache | null = null) {
    this.credentials = credentials;
    this.#cache = cache;
  }

  async token(): Promise<Token> {
    this.#token ??= this.#kept();
    return this.#token;
  }

  /** A token made now, whatever is kept. */
  async freshToken(): Promise<Token> {
    this.#renewed ??= this.#signIn();
    this.#token = this.#renewed;
    return this.#renewed;
  }

  async #kept(): Promise<Token> {
    const { verifyTls, caFile } = this.credentials;
    const kept = await this.#cache?.read(this.credentials);
    if (kept === null || kept === undefined) return this.freshToken();
    await configureTls(verifyTls, caFile);
    return kept;
  }

  async #signIn(): Promise<Token> {
    await this.#cache?.forget(this.credentials);
    const token = await authenticate(this.credentials);
    await this.#cache?.write(this.credentials, token);
    return token;
  }

  /** Of a service whose kept token was refused: another one, once; null when this one was made just now. */
  readonly #renew = async (): Promise<string | null> => (this.#renewed !== null ? null : (await this.freshToken()).id);

  /** The API of that name from the catalog. Throws a `CommandError` when this cloud has none. */
  async service(name: ServiceName): Promise<Service> {
    const token = await this.token();
    const headers = { 'x-auth-token': token.id };
    const endpoint = endpointOf(token.catalog, name, this.credentials);
    if (endpoint === null)
      throw new CommandError(`The catalog of this cloud has no ${name} service for this project.`, {
        exitCode: exitCodes.failed,
        next: name === 'godwit' ? 'This command needs a Godwit cloud.' : 'Choose another project, region or interface.',
      });
    if (name === 'compute')
      return new Service(endpoint, { ...headers, ...versionHeaders(this.credentials.computeApiVersion) }, this.#renew);
    if (name === 'image') return new Service(/\/v2(\.\d+)?\/?$/.test(endpoint) ? endpoint : `${endpoint}/v2`, headers, this.#renew);
    if (name === 'network') return new Service(/\/v2\.0\/?$/.test(endpoint) ? endpoint : `${endpoint}/v2.0`, headers, this.#renew);
    if (name === 'identity') return new Service(/\/v3\/?$/.test(endpoint) ? endpoint : `${endpoint}/v3`, headers, this.#renew);
    return new Service(endpoint, headers, this.#renew);
  }

  async has(name: ServiceName): Promise<boolean> {
    return endpointOf((await this.token()).catalog, name, this.credentials) !== null;
  }

  compute = async (): Promise<Service> => this.service('compute');

  /** The compute API at one microversion whatever was chosen: for what a command of our own reads. */
  computeAt = async (version: string): Promise<Service> => (await this.compute()).with(versionHeaders(version));

  /** Whether the chosen microversion is at least `2.minor`. `latest` is. */
  supports(minor: number): boolean {
    const version = this.credentials.computeApiVersion;
    return version === 'latest' || Number(version.split('.')[1] ?? 0) >= minor;
  }

  /** Throws the sentence that the `openstack` command has for it, unless the chosen microversion is at least `2.minor`. */
  require(minor: number, what: string): void {
    if (!this.supports(minor))
      throw new CommandError(`--os-compute-api-version 2.${minor} or greater is required to ${what}`, {
        next: `Repeat it with --os-compute-api-version 2.${minor}, or export OS_COMPUTE_API_VERSION=2.${minor}.`,
      });
  }
}

export interface Token {
  readonly id: string;
  readonly expires: string;
  readonly userId: string;
  readonly projectId: string | null;
  readonly domainId: string | null;
  readonly roles: readonly string[];
  readonly catalog: readonly JsonObject[];
}

const versionHeaders = (version: string): Readonly<Record<string, string>> => ({
  'openstack-api-version': `compute ${version}`,
  'x-openstack-nova-api-version': version,
});

async function authenticate(credentials: Credentials): Promise<Token> {
  await configureTls(credentials.verifyTls, credentials.caFile);
  const { authUrl } = credentials;
  const base = authUrl.endsWith('/v3') ? authUrl : `${authUrl.replace(/\/v2\.0$/, '')}/v3`;
  const answer = await send({
    method: 'POST',
    url: `${base}/auth/tokens`,
    headers: {},
    body: { auth: { identity: identityOf(credentials), ...scopeOf(credentials) } },
  });
  if (answer.status === 404 || answer.status === 405)
    throw new CommandError(`There is no identity service (v3) at ${authUrl}.`, {
      exitCode: exitCodes.unreachable,
      next: 'Check OS_AUTH_URL.',
    });
  succeeded(answer);
  const token = objectAt(answer.body, 'token');
  return {
    id: headerOf(answer, 'x-subject-token'),
    expires: textAt(token, 'expires_at'),
    userId: textAt(objectAt(token, 'user'), 'id'),
    projectId: textAt(objectAt(token, 'project'), 'id') || null,
    domainId: textAt(objectAt(token, 'domain'), 'id') || null,
    roles: objectsAt(token, 'roles').map((role) => textAt(role, 'name')),
    catalog: objectsAt(token, 'catalog'),
  };
}

function identityOf({ method }: Credentials): Json {
  switch (method.kind) {
    case 'password':
      return { methods: ['password'], password: { user: { ...named(method.user), password: method.password } } };
    case 'token':
      return { methods: ['token'], token: { id: method.token } };
    case 'application credential':
      return { methods: ['application_credential'], application_credential: { id: method.id, secret: method.secret } };
  }
}

const scopeOf = ({ method, project }: Credentials): JsonObject =>
  project === null || method.kind === 'application credential' ? {} : { scope: { project: named(project) } };

const named = (what: Named): JsonObject => ('id' in what ? { id: what.id } : { name: what.name, domain: { ...what.domain } });

function endpointOf(catalog: readonly JsonObject[], name: ServiceName, credentials: Credentials): string | null {
  for (const type of serviceTypes[name]) {
    const service = catalog.find((each) => each.type === type);
    const endpoint = objectsAt(service, 'endpoints').find(
      (each) =>
        each.interface === credentials.interface &&
        (credentials.region === null || each.region === credentials.region || each.region_id === credentials.region),
    );
    if (endpoint !== undefined) return textAt(endpoint, 'url').replace(/\/+$/, '');
  }
  return null;
}
