/** What a person or a script needs to sign in; what an openrc file holds. */
export type Credentials = {
  /** e.g. http://127.0.0.1:8774/identity/v3 */
  readonly authUrl: string;
  readonly userName: string;
  readonly password: string;
  readonly projectName: string;
  /** Domain of both user and project; the lab has only `Default`. */
  readonly domainName: string;
};

type ServiceType = 'identity' | 'compute' | 'image' | 'network' | 'placement' | 'godwit';

/** An answer that is not the expected status: `status` and the body's words, unchanged. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly body: string;
  constructor(method: string, url: string, status: number, body: string) {
    super(`${method} ${url} answered ${status}: ${body.slice(0, 500)}`);
    this.name = 'ApiFailure';
    this.status = status;
    this.body = body;
  }
}

/** A thin client of the public APIs: the lab seeds and the demo drives the cloud as any script could. */
export type OpenStackClient = {
  readonly projectId: string;
  readonly endpoint: (service: ServiceType) => string;
  /** `headers` lets a caller name a microversion. Throws ApiFailure for 4xx and 5xx; null for an empty body. */
  readonly request: <Answer>(service: ServiceType, method: string, path: string, options?: RequestOptions) => Promise<Answer>;
  /** A GET whose body is read as it comes, until the signal aborts. Throws ApiFailure. */
  readonly stream: (service: ServiceType, path: string, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>;
};

export type RequestOptions = {
  readonly body?: unknown;
  /** Sent as it is with content type application/octet-stream. */
  readonly stream?: ReadableStream<Uint8Array> | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
};

/** The microversion that the lab speaks to the compute API; every answer it reads has its fields there. */
export const labComputeMicroversion = '2.87';

/** Signs in scoped to the project. Throws ApiFailure when the cloud refuses, TypeError when it cannot be reached. */
export async function signIn(credentials: Credentials): Promise<OpenStackClient> {
  const domain = { name: credentials.domainName };
  const url = `${credentials.authUrl}/auth/tokens`;
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      auth: {
        identity: { methods: ['password'], password: { user: { name: credentials.userName, domain, password: credentials.password } } },
        scope: { project: { name: credentials.projectName, domain } },
      },
    }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  const token = response.headers.get('x-subject-token');
  if (response.status !== 201 || token === null) throw new ApiFailure('POST', url, response.status, text);
  const body = JSON.parse(text) as TokenBody;
  const endpoints = new Map<string, string>();
  for (const service of body.token.catalog) {
    const found = service.endpoints.find((endpoint) => endpoint.interface === 'public');
    if (found !== undefined) endpoints.set(service.type, found.url.replace(/\/$/, ''));
  }
  endpoints.set('godwit', new URL('/godwit/v1', credentials.authUrl).href);
  const endpoint = (service: ServiceType): string => {
    const found = endpoints.get(service);
    if (found === undefined) throw new Error(`the catalog of ${credentials.authUrl} has no public ${service} endpoint`);
    return found;
  };
  return {
    projectId: body.token.project.id,
    endpoint,
    request: async (service, method, path, options = {}) => send(`${endpoint(service)}${path}`, method, token, service, options),
    stream: async (service, path, signal) => {
      const url = `${endpoint(service)}${path}`;
      const response = await fetch(url, { headers: { 'x-auth-token': token }, signal });
      if (!response.ok || response.body === null) throw new ApiFailure('GET', url, response.status, await response.text());
      return response.body;
    },
  };
}

type TokenBody = {
  readonly token: {
    readonly project: { readonly id: string };
    readonly catalog: readonly {
      readonly type: string;
      readonly endpoints: readonly { readonly interface: string; readonly url: string }[];
    }[];
  };
};

async function send<Answer>(url: string, method: string, token: string, service: ServiceType, options: RequestOptions): Promise<Answer> {
  const headers: Record<string, string> = { 'x-auth-token': token, accept: 'application/json', ...options.headers };
  if (service === 'compute' && headers['openstack-api-version'] === undefined)
    headers['openstack-api-version'] = `compute ${labComputeMicroversion}`;
  const init: RequestInit & { duplex?: 'half' } = { method, headers, signal: AbortSignal.timeout(options.timeoutMs ?? 60_000) };
  if (options.stream !== undefined) {
    headers['content-type'] = 'application/octet-stream';
    init.body = options.stream as NonNullable<RequestInit['body']>;
    init.duplex = 'half';
  } else if (options.body !== undefined) {
    headers['content-type'] ??= 'application/json';
    init.body = JSON.stringify(options.body);
  }
  const response = await fetch(url, init);
  const text = await response.text();
  if (!response.ok) throw new ApiFailure(method, url, response.status, text);
  return (text === '' ? null : JSON.parse(text)) as Answer;
}
