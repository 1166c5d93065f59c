import { readFile } from 'node:fs/promises';
import { CommandError, exitCodes } from '../command-error.ts';
import { isObject, type Json, textAt } from '../json.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Json | ReadableStream | Uint8Array;
  readonly signal?: AbortSignal;
}

/** The cloud answered with an error: its own words, and the status that decides what they mean. */
export class HttpError extends CommandError {
  readonly status: number;
  /** `NoValidHost`, where the cloud says it. */
  readonly code: string;

  constructor(status: number, message: string, code: string, requestId: string) {
    super(`${message} (HTTP ${status})${requestId === '' ? '' : ` (Request-ID: ${requestId})`}`, nextFor(status));
    this.name = 'HttpError';
    this.status = status;
    this.code = code;
  }
}

const nextFor = (status: number): { readonly next?: string; readonly exitCode?: typeof exitCodes.unreachable } => {
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
    default:
      return {};
  }
};

/** Sends one request and resolves to its answer, whatever the status. Rejects with a `CommandError` when there is nobody to answer. */
export async function send(request: Request): Promise<Answer> {
  const plain = request.body instanceof ReadableStream || request.body instanceof Uint8Array;
  const body = request.body === undefined ? undefined : plain ? request.body : JSON.stringify(request.body);
  let response: Response;
  try {
    response = await fetch(request.url, {
      method: request.method,
      headers: {
        accept: 'application/json',
        ...(plain || body === undefined ? {} : { 'content-type': 'application/json' }),
        ...request.headers,
      },
      ...(body === undefined ? {} : { body }),
      ...(request.body instanceof ReadableStream ? { duplex: 'half' } : {}),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    } as RequestInit);
  } catch (error) {
    if (request.signal?.aborted === true) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new CommandError(`No answer from ${new URL(request.url).origin}: ${cause}`, {
      exitCode: exitCodes.unreachable,
      next: 'Check OS_AUTH_URL and that the cloud is up.',
    });
  }
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parsed(text, response.headers.get('content-type') ?? '') };
}

/** The answer if it is a success; throws `HttpError` with the cloud's own words otherwise. */
export function succeeded(answer: Answer): Answer {
  if (answer.status < 400) return answer;
  const { message, code } = fault(answer);
  throw new HttpError(
    answer.status,
    message,
    code,
    answer.headers.get('x-openstack-request-id') ?? answer.headers.get('x-compute-request-id') ?? '',
  );
}

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

/** Makes this process trust `caFile`, or nobody in particular. Holds for every later request. */
export async function configureTls(verify: boolean, caFile: string | null): Promise<void> {
  if (!verify) process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  if (caFile === null) return;
  const { getCACertificates, setDefaultCACertificates } = await import('node:tls');
  let pem: string;
  try {
    pem = await readFile(caFile, 'utf8');
  } catch (error) {
    throw new CommandError(`The file of certificates ${caFile} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      exitCode: exitCodes.usage,
    });
  }
  setDefaultCACertificates([...getCACertificates('default'), pem]);
}
