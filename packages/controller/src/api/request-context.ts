import { GodwitError } from '@godwit/domain/errors';
import type { FastifyRequest } from 'fastify';
import type { AppContext } from '../app-context.ts';
import { readToken, type Token } from '../auth/tokens.ts';
import type { Db } from '../store/database.ts';
import type { Caller } from '../workflows/operations.ts';

/** What the OpenStack APIs need of the controller; the app's context has it all. */
export type ApiContext = Pick<AppContext, 'db' | 'operations' | 'agents' | 'log'> & {
  readonly config: Pick<AppContext['config'], 'publicUrl' | 'region'>;
};

/** The token of `X-Auth-Token`. Throws `Unauthorized` when there is none or it does not hold. */
export async function requireToken(db: Db, request: FastifyRequest): Promise<Token> {
  const header = request.headers['x-auth-token'];
  const text = typeof header === 'string' ? header : undefined;
  const token = text === undefined || text === '' ? null : await readToken(db, text);
  if (token === null) throw new GodwitError('Unauthorized', 'The request you have made requires authentication.');
  tokens.set(request, token);
  return token;
}

const tokens = new WeakMap<FastifyRequest, Token>();

/** The token that a request was let in with; null while, or because, it was not asked for one. */
export const tokenOf = (request: FastifyRequest): Token | null => tokens.get(request) ?? null;

/** Who asks, from their token. `projectId` is empty unless the token is scoped to a project. */
export function callerOf(token: Token, requestId: string): Caller {
  const roles = token.roles.map((role) => role.name);
  return { userId: token.user.id, projectId: token.project?.id ?? '', roles, isAdmin: roles.includes('admin'), requestId };
}

/** `requireToken` and `callerOf` in one: for services that only need to know who asks. */
export async function requireCaller(db: Db, request: FastifyRequest): Promise<Caller> {
  return callerOf(await requireToken(db, request), request.id);
}

/**
 * What links begin with. They follow the configured public URL, as the catalog does, whatever a proxy makes of the request on its way (nginx, untold, passes on the name
 * by which it reaches us, and no header says what the client used). Only where that URL is this machine's own, as in a lab, is it the name that the client used: a client
 * in another network namespace reaches us by another address.
 */
export function linkBase(publicUrl: string, headers: FastifyRequest['headers']): string {
  const own = new URL(publicUrl);
  if (!/^(localhost|127(\.\d+){3}|\[::1\])$/.test(own.hostname)) return publicUrl;
  const forwardedHost = first(headers['x-forwarded-host']);
  const host = forwardedHost ?? headers.host;
  if (host === undefined || !/^[A-Za-z0-9.\-:[\]_]{1,255}$/.test(host)) return own.origin;
  const protocol = first(headers['x-forwarded-proto']);
  const scheme = protocol === 'https' || protocol === 'http' ? protocol : own.protocol.slice(0, -1);
  return `${scheme}://${host}`;
}

const first = (value: string | string[] | undefined): string | undefined =>
  (Array.isArray(value) ? value[0] : value)?.split(',')[0]?.trim();
