import { type Session, storeSession } from './session.ts';

/** The compute microversion every page speaks; the highest that Godwit serves. */
const computeMicroversion = '2.93';

/** An API's refusal: `message` is its own sentence, `requestId` finds it in logs and in the action log. */
export class ApiRefusal extends Error {
  readonly status: number;
  readonly requestId: string | null;
  constructor(status: number, message: string, requestId: string | null) {
    super(message);
    this.status = status;
    this.requestId = requestId;
  }
}

export type Api = {
  readonly session: Session;
  readonly get: <Answer>(path: string, options?: { readonly microversion?: string }) => Promise<Answer>;
  readonly send: <Answer>(
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    options?: { readonly contentType?: string },
  ) => Promise<Answer>;
};

/** `path` begins with the service, e.g. `/compute/v2.1/servers/detail`. A 401 ends the session: the next page is the sign-in. */
export function apiFor(session: Session): Api {
  const call = async <Answer>(
    method: string,
    path: string,
    body: unknown,
    {
      microversion = computeMicroversion,
      contentType = 'application/json',
    }: { readonly microversion?: string; readonly contentType?: string },
  ): Promise<Answer> => {
    const headers: Record<string, string> = { 'x-auth-token': session.token, accept: 'application/json' };
    if (path.startsWith('/compute/')) headers['openstack-api-version'] = `compute ${microversion}`;
    if (body !== undefined) headers['content-type'] = contentType;
    const response = await fetch(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const text = await response.text();
    if (response.status === 401) {
      storeSession(null);
      window.location.assign('/sign-in?expired=1');
    }
    if (!response.ok)
      throw new ApiRefusal(response.status, sentenceOf(text, response.status), response.headers.get('x-openstack-request-id'));
    return (text === '' ? null : JSON.parse(text)) as Answer;
  };
  return {
    session,
    get: async (path, options = {}) => call('GET', path, undefined, options),
    send: async (method, path, body, options = {}) => call(method, path, body, options),
  };
}

/** Every OpenStack service wraps its sentence differently: {name: {message}}, {error: {message}}, {NeutronError: {message}}, {errors: [{detail}]}. */
export function sentenceOf(text: string, status: number): string {
  try {
    const body = JSON.parse(text) as Readonly<Record<string, unknown>>;
    for (const value of Object.values(body)) {
      const inner: unknown = Array.isArray(value) ? value[0] : value;
      if (typeof inner === 'string') return inner;
      if (typeof inner !== 'object' || inner === null) continue;
      const { message, detail } = inner as { readonly message?: unknown; readonly detail?: unknown };
      if (typeof message === 'string') return message;
      if (typeof detail === 'string') return detail;
    }
  } catch {
    // Not JSON: the status is all there is to tell.
  }
  return `The service answered ${status}.`;
}
