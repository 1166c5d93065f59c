import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import type { Readable } from 'node:stream';
import { CommandError, exitCodes } from '../command-error.ts';
import { isObject, type Json, textAt } from '../json.ts';
import { tlsFailure } from './tls-failure.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Json;
}

export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Json | Readable | Uint8Array;
  readonly signal?: AbortSignal;
}

/** The cloud answered with an error: its own words, and the status that decides what they mean. */
export class HttpError extends CommandError {
  readonly status: number;
  /** `NoValidHost`, where the cloud says it. */
  readonly code: string;

  constructor(status: number, message: string, code: string, requestId: string) {
    super(`${message} (HTTP ${status})${requestId === '' ? '' : ` (Request-ID: ${requestId})`}`, nextFor(status, message));
    this.name = 'HttpError';
    this.status = status;
    this.code = code;
  }
}

/** What to do next about a refusal, by the words that Godwit and Nova have for it. */
const nextSteps: readonly (readonly [RegExp, string])[] = [
  [/^Compute host \S+ could not be found|^No (such )?host|^Host '?\S+'? could not be found/i, '`godwit host list` shows the hosts.'],
  [/^Migration \S+ could not be found/i, '`godwit migration list` shows the migrations, with --server SERVER those of one server.'],
  [/"confirmedDead"/, 'Sure that it is off? Then repeat it with --confirmed-dead, or say `godwit host fence HOST --confirmed` first.'],
  [/"confirmed" has to be true/, 'Sure that it is off? Then repeat it with --confirmed.'],
  [
    /^Cannot '.*' instance \S+ while it is in /,
    '`godwit server show SERVER` shows its state and task, `godwit server event list SERVER` what it went through.',
  ],
];

const nextFor = (status: number, message: string): { readonly next?: string; readonly exitCode?: typeof exitCodes.unreachable } => {
  const next = nextSteps.find(([pattern]) => pattern.test(message))?.[1];
  if (next !== undefined) return { next };
  switch (status) {
    case 401:
      return {
        next: 'Check user, password, project and domains; sign in again if the token has expired.',
        exitCode: exitCodes.unreachable,
      };
    case 403:
      return { next: 'Your roles in this project do not allow it: `godwit role assignment list --names --auth-user` lists them.' };
    case 406:
      return { next: 'Choose another version with --os-compute-api-version.' };
    case 500:
    case 502:
    case 503:
    case 504:
      return {
        next: 'Nothing of it may have happened, or all of it: look before it is repeated. `godwit doctor` examines a Godwit cloud.',
      };
    default:
      return {};
  }
};

/** A body that is sent as it comes, once. */
export const isStream = (body: Request['body']): body is Readable =>
  typeof body === 'object' && body !== null && 'pipe' in body && typeof body.pipe === 'function';

/** How long a connection may take to stand, and to say nothing, in milliseconds. */
export interface Patience {
  readonly connectMs: number;
  readonly idleMs: number;
}

/** As `fetch` has them: an answer that takes long (an attached interface, the end of an image) is told within its own time by the cloud. */
const usual: Patience = { connectMs: 10_000, idleMs: 300_000 };

/** Sends one request and resolves to its answer, whatever the status. Rejects with a `CommandError` when there is nobody to answer. */
export async function send(request: Request, patience = usual): Promise<Answer> {
  try {
    return await wholeAnswer(await begun(request, patience));
  } catch (error) {
    throw failureOf(error, request);
  }
}

/** As `send`, but a success's body is what still arrives: it is for files. */
export async function sendForStream(request: Request): Promise<Answer | { readonly status: 200; readonly stream: Readable }> {
  try {
    const response = await begun(request, usual);
    return response.statusCode === 200 ? { status: 200, stream: response } : await wholeAnswer(response);
  } catch (error) {
    throw failureOf(error, request);
  }
}

const begun = async (request: Request, patience: Patience): Promise<IncomingMessage> =>
  exchange(request, patience).catch((error: unknown) => {
    if (error instanceof StaleConnection) return exchange(request, patience);
    throw error;
  });

async function wholeAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: parsed(text, response.headers['content-type'] ?? ''),
  };
}

function failureOf(error: unknown, request: Request): unknown {
  if (request.signal?.aborted === true) return error;
  const { origin } = new URL(request.url);
  const tls = tlsFailure(error, origin, trust.caFile);
  return new CommandError(tls?.sentence ?? `No answer from ${origin}: ${reasonOf(error)}`, {
    exitCode: exitCodes.unreachable,
    next: tls?.next ?? 'Check OS_AUTH_URL and that the cloud is up.',
  });
}

/** Several addresses were tried: each has its reason. */
const reasonOf = (error: unknown): string =>
  error instanceof AggregateError && error.errors.length > 0
    ? [...new Set(error.errors.map(reasonOf))].join('; ')
    : error instanceof Error
      ? error.message
      : String(error);

/** The cloud had closed the connection of an earlier request: another is opened. */
class StaleConnection extends Error {}

/**
 * By Node's own client rather than `fetch`, which costs three times the processor time of a whole short command. Resolves when the head of the answer is there: its body is
 * still to be read.
 */
async function exchange({ method, url, headers, body, signal }: Request, { connectMs, idleMs }: Patience): Promise<IncomingMessage> {
  const target = new URL(url);
  if (target.protocol !== 'http:' && target.protocol !== 'https:') throw new Error(`${target.protocol} is neither http: nor https:`);
  // Importing them as ES modules would read every export, one of which loads what `fetch` needs.
  const isSecure = target.protocol === 'https:';
  const { request: begin, Agent } = process.getBuiltinModule(isSecure ? 'node:https' : 'node:http');
  const bytes = body === undefined || isStream(body) ? null : body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
  const options: RequestOptions = {
    method,
    headers: {
      accept: 'application/json',
      ...(body === undefined || isStream(body) || body instanceof Uint8Array ? {} : { 'content-type': 'application/json' }),
      ...(bytes === null ? {} : { 'content-length': String(bytes.byteLength) }),
      ...headers,
    },
    ...(signal === undefined ? {} : { signal }),
    ...(trust.verify ? {} : { rejectUnauthorized: false }),
    // What changes something is never sent on a connection that the cloud may just have closed: it could not be sent again.
    ...(method === 'GET' || method === 'HEAD' ? {} : { agent: new Agent({ keepAlive: false, ...proxy() }) }),
  };
  return new Promise((resolve, reject) => {
    const sent = begin(target, options, resolve);
    sent.setTimeout(idleMs, () => sent.destroy(new Error(`nothing was heard for ${idleMs / 1000} s`)));
    sent.on('socket', (socket) => {
      if (!socket.connecting) return;
      const late = setTimeout(() => sent.destroy(new Error(`no connection within ${connectMs / 1000} s`)), connectMs);
      for (const over of [isSecure ? 'secureConnect' : 'connect', 'close']) socket.once(over, () => clearTimeout(late));
    });
    sent.on('error', (error: NodeJS.ErrnoException) =>
      reject(sent.reusedSocket && error.code === 'ECONNRESET' ? new StaleConnection(error.message, { cause: error }) : error),
    );
    if (isStream(body)) {
      body.on('error', (error) => sent.destroy(error));
      body.pipe(sent);
    } else sent.end(bytes ?? undefined);
  });
}

/** What Node's shared connections do by themselves when they are asked to heed HTTP_PROXY and its like. */
const proxy = () => (process.env.NODE_USE_ENV_PROXY === '1' ? { proxyEnv: process.env } : {});

/** The answer if it is a success; throws `HttpError` with the cloud's own words otherwise. A redirection is none: what was asked for has not been done. */
export function succeeded(answer: Answer): Answer {
  if (answer.status < 300) return answer;
  if (answer.status < 400) {
    const to = headerOf(answer, 'location');
    throw new CommandError(
      `The cloud points elsewhere${to === '' ? '' : `, to ${to}`} (HTTP ${answer.status}), and does not say that this was done.`,
      {
        exitCode: exitCodes.unreachable,
        next: 'Name that address in OS_AUTH_URL, or have it in the catalog.',
      },
    );
  }
  const { message, code } = fault(answer);
  throw new HttpError(answer.status, message, code, headerOf(answer, 'x-openstack-request-id') || headerOf(answer, 'x-compute-request-id'));
}

/** Empty where the answer has no such header. */
export const headerOf = ({ headers }: Answer, name: string): string => String(headers[name] ?? '');

function fault(answer: Answer): { readonly message: string; readonly code: string } {
  const { body } = answer;
  if (typeof body === 'string' && body !== '') return { message: plainText(body), code: '' };
  if (isObject(body)) {
    if (textAt(body, 'message') !== '') return { message: textAt(body, 'message'), code: textAt(body, 'code') };
    const errors = body.errors;
    const first = Array.isArray(errors) ? (errors[0] as Json) : undefined;
    if (isObject(first)) return { message: textAt(first, 'detail') || textAt(first, 'title'), code: textAt(first, 'code') };
    for (const inner of Object.values(body))
      if (isObject(inner) && textAt(inner, 'message') !== '') return { message: textAt(inner, 'message'), code: textAt(inner, 'type') };
  }
  return { message: `The cloud refused`, code: '' };
}

/** Glance answers errors as a small HTML page. */
const plainText = (page: string): string =>
  page.includes('<')
    ? page
        .replaceAll(/<(title|head)[\s\S]*?<\/\1>/g, '')
        .replaceAll(/<[^>]+>/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim()
    : page;

function parsed(text: string, type: string): Json {
  if (text === '') return null;
  if (!type.includes('json')) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** Whom this process trusts. */
let trust: { readonly verify: boolean; readonly caFile: string | null } = { verify: true, caFile: null };

/** Makes this process trust the authorities in `caFile` too, or whoever answers. Holds for every later request. */
export async function configureTls(verify: boolean, caFile: string | null): Promise<void> {
  trust = { verify, caFile };
  if (caFile === null) return;
  const { getCACertificates, setDefaultCACertificates } = await import('node:tls');
  const { X509Certificate } = await import('node:crypto');
  try {
    const pem = await readFile(caFile, 'utf8');
    // A file without one would be taken without a word, and every certificate refused for it.
    void new X509Certificate(pem);
    setDefaultCACertificates([...getCACertificates('default'), pem]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`${caFile} is no file of certificates in PEM: ${why}`, {
      exitCode: exitCodes.usage,
      next: 'It is named by OS_CACERT, --os-cacert or cacert of clouds.yaml.',
    });
  }
}
