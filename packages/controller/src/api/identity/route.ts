import { GodwitError } from '@godwit/domain/errors';
import type { Token } from '../../auth/tokens.ts';
import type { Query } from '../query.ts';
import type { ApiContext } from '../request-context.ts';
import type { Method } from '../route-table.ts';

/** One request as a handler of the identity API sees it. */
export type IdentityRequest<Body = unknown> = {
  readonly context: ApiContext;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Who asks; for an anonymous route (log in) null. */
  readonly token: Token | null;
  /** Client's address, for the limit of attempts. */
  readonly address: string;
  /** `<scheme>://<host>/identity/v3`, for links. */
  readonly base: string;
  /** `<scheme>://<host>`. */
  readonly origin: string;
};

export type IdentityAnswer = { readonly status: number; readonly body?: object; readonly headers?: Readonly<Record<string, string>> };

export type IdentityRoute<Body = never> = {
  readonly method: Method;
  readonly path: string;
  /** `anonymous`: no token is asked for; `anyone`: any valid token; `admin`; the handler checks what is finer. */
  readonly who: 'anonymous' | 'anyone' | 'admin';
  /** What a 403 calls it, e.g. `list_projects`. */
  readonly rule: string;
  readonly body?: object;
  /** Closed schema of a successful answer, for tests; null: no body. */
  readonly response: object | null;
  readonly handle: (request: IdentityRequest<Body>) => Promise<IdentityAnswer>;
};

export const isAdmin = (token: Token): boolean => token.roles.some((role) => role.name === 'admin');

export const refusedByPolicy = (rule: string): GodwitError =>
  new GodwitError('Forbidden', `You are not authorized to perform the requested action: identity:${rule}.`);

/** The token of a route that is not anonymous. */
export function caller(request: IdentityRequest<never> | IdentityRequest): Token {
  if (request.token === null) throw new Error('the route is anonymous');
  return request.token;
}

/** Throws `Forbidden` unless the caller is an admin or the user themselves. */
export function assertAdminOrSelf(request: IdentityRequest<never> | IdentityRequest, userId: string, rule: string): void {
  const token = caller(request);
  if (!isAdmin(token) && token.user.id !== userId) throw refusedByPolicy(rule);
}

export const notFound = (what: string, id: string): GodwitError =>
  new GodwitError('NotFound', `Could not find ${what}: ${id.slice(0, 255)}.`);

export function pathParam(request: IdentityRequest<never> | IdentityRequest, name: string): string {
  const value = request.params[name];
  if (value === undefined) throw new Error(`the route has no parameter ${name}`);
  return value;
}

/** `links` of a list. */
export const listLinks = (request: IdentityRequest<never> | IdentityRequest, path: string) => ({
  self: `${request.base}${path}`,
  next: null,
  previous: null,
});

/** Runs an insert or update; a duplicate (unique index) becomes `Conflict` with this sentence. */
export async function conflictIfDuplicate<T>(sentence: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === '23505')
      throw new GodwitError('Conflict', sentence, {}, { cause: error });
    throw error;
  }
}
