import { AsyncLocalStorage } from 'node:async_hooks';

/** On whose behalf something is done: the `req-<uuid>` of the API's answer, and the W3C trace context when traces are on. */
export type RequestScope = { readonly requestId: string; readonly traceparent: string | null };

/** Names of the RPC headers that carry a scope to another process. */
const requestIdHeader = 'godwit-request-id';
const traceparentHeader = 'traceparent';

const storage = new AsyncLocalStorage<RequestScope>();

/** The scope of the code that asks, also after awaits and in what it left running; null outside every request. */
export const currentScope = (): RequestScope | null => storage.getStore() ?? null;

/** Runs `work` within a scope. */
export const withinScope = <Result>(scope: RequestScope, work: () => Result): Result => storage.run(scope, work);

/** For every line of a log: whose request it belongs to. */
export function scopeOfLine(): Readonly<Record<string, string>> {
  const scope = storage.getStore();
  return scope === undefined ? {} : { requestId: scope.requestId };
}

/** Puts the current scope into the headers of a call to another process. */
export function sendScope(headers: { readonly set: (name: string, value: string) => void }): void {
  const scope = storage.getStore();
  if (scope === undefined) return;
  headers.set(requestIdHeader, scope.requestId);
  if (scope.traceparent !== null) headers.set(traceparentHeader, scope.traceparent);
}

/** Of a call's headers; null when they carry none, or something that is no request id. */
export function receiveScope(headers: { readonly get: (name: string) => string | null }): RequestScope | null {
  const requestId = headers.get(requestIdHeader);
  if (requestId === null || !/^req-[0-9a-zA-Z-]{1,64}$/.test(requestId)) return null;
  const traceparent = headers.get(traceparentHeader);
  return { requestId, traceparent: traceparent !== null && /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/.test(traceparent) ? traceparent : null };
}
