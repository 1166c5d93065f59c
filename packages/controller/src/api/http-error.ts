import { GodwitError } from '@godwit/domain/errors';
import { httpStatus } from './http-status.ts';

/** What a failed request answers, before it takes the shape of one API. */
export type HttpFailure = {
  readonly status: number;
  readonly message: string;
  /** Seconds, for 429. */
  readonly retryAfterSeconds?: number;
  /** True when the cause belongs in the log as an error: nobody but us can do anything about it. */
  readonly unexpected: boolean;
};

/**
 * The answer for anything a handler threw. A `GodwitError` says its own message; of anything else only the request id is told,
 * because an unexpected message may hold what the caller must not see.
 */
export function failureOf(error: unknown, requestId: string): HttpFailure {
  if (error instanceof GodwitError) {
    const retry = error.details['retryAfterSeconds'];
    const status = httpStatus(error.code);
    return {
      status,
      message: error.message,
      unexpected: status === 500,
      ...(typeof retry === 'number' ? { retryAfterSeconds: retry } : {}),
    };
  }
  const code = errorCodeOf(error);
  if (code !== null && databaseGone.has(code)) {
    return { status: 503, message: 'The database cannot be reached at this time. Try again.', unexpected: true };
  }
  // Fastify's own refusals of a body: too large, wrong length, cut off.
  if (code?.startsWith('FST_ERR_CTP_') === true) {
    const status = statusCodeOf(error);
    if (status !== null && status < 500)
      return { status, message: status === 413 ? 'Request is too large.' : 'Malformed request body', unexpected: false };
  }
  return { status: 500, message: `Unexpected API Error. The controller's log holds the cause under ${requestId}.`, unexpected: true };
}

/** Class 08 (connection), 57P0x (shutdown, crash, starting) and the socket's own errors. */
const databaseGone: ReadonlySet<string> = new Set([
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '57P01',
  '57P02',
  '57P03',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
]);

const computeNames: Readonly<Record<number, string>> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

/** `{"<name>": {"code", "message"}}`: the compute API's envelope (406 and 500 are `computeFault`). */
export function computeErrorBody(failure: HttpFailure): Record<string, object> {
  return {
    [computeNames[failure.status] ?? 'computeFault']: {
      code: failure.status,
      message: failure.message,
      ...(failure.retryAfterSeconds === undefined ? {} : { retryAfter: failure.retryAfterSeconds }),
    },
  };
}

const identityTitles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
};

/** `{"error": {"code", "title", "message"}}`: identity's shape, and every service's for a missing or refused token. */
export function identityErrorBody(failure: HttpFailure): { error: { code: number; title: string; message: string } } {
  return { error: { code: failure.status, title: identityTitles[failure.status] ?? 'Error', message: failure.message } };
}

function errorCodeOf(error: unknown): string | null {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

function statusCodeOf(error: unknown): number | null {
  return typeof error === 'object' && error !== null && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : null;
}
