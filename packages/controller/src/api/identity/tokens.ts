import { AuthRequest, CatalogAnswer, type DomainRef, TokenAnswer } from '@godwit/contract/schemas/identity/auth';
import { GodwitError } from '@godwit/domain/errors';
import { countAttempt } from '../../auth/login-attempts.ts';
import { verifyPassword } from '../../auth/passwords.ts';
import { issueToken, readToken, revokeToken, type Token, type TokenScope } from '../../auth/tokens.ts';
import type { Db } from '../../store/database.ts';
import { microTime } from '../time-format.ts';
import { serviceCatalog } from './catalog.ts';
import { caller, type IdentityRequest, type IdentityRoute, isAdmin, listLinks, notFound, refusedByPolicy } from './route.ts';

type Proven = { readonly userId: string; readonly methods: readonly string[]; readonly from?: Pick<Token, 'auditIds' | 'expiresAt'> };

const refused = (): GodwitError => new GodwitError('Unauthorized', 'The request you have made requires authentication.');

/** `POST /v3/auth/tokens`: by password or by another token, for a project, a domain or nothing. */
async function authenticate(request: IdentityRequest<AuthRequest>) {
  const { db } = request.context;
  const proven = await prove(request);
  const scope = await wantedScope(db, request.body, proven.userId);
  const text = await issueToken(db, {
    userId: proven.userId,
    scope,
    methods: proven.methods,
    ...(proven.from === undefined ? {} : { from: proven.from }),
  });
  const token = await readToken(db, text);
  // No such scope, no role in it, or somebody disabled: the same answer for all, so that nothing can be found out.
  if (token === null) throw refused();
  return { status: 201, headers: { 'x-subject-token': text, vary: 'X-Auth-Token' }, body: tokenBody(request, token) };
}

async function prove(request: IdentityRequest<AuthRequest>): Promise<Proven> {
  const { db } = request.context;
  const { methods, password, token } = request.body.auth.identity;
  const unknown = methods.find((method) => method !== 'password' && method !== 'token');
  if (unknown !== undefined)
    throw new GodwitError('Unauthorized', `Attempted to authenticate with an unsupported method: ${unknown.slice(0, 60)}.`);
  let proven: Proven | null = null;
  if (methods.includes('token')) {
    if (token === undefined)
      throw new GodwitError(
        'BadRequest',
        'Expecting to find token in identity. The server could not comply with the request since it is either malformed or otherwise incorrect.',
      );
    const held = await readToken(db, token.id);
    if (held === null) throw refused();
    proven = { userId: held.user.id, methods: [...new Set([...held.methods, 'token'])], from: held };
  }
  if (methods.includes('password')) {
    if (password === undefined)
      throw new GodwitError(
        'BadRequest',
        'Expecting to find password in identity. The server could not comply with the request since it is either malformed or otherwise incorrect.',
      );
    const userId = await userByPassword(request, password.user);
    if (proven !== null && proven.userId !== userId) throw refused();
    proven = {
      userId,
      methods: [...new Set([...(proven?.methods ?? []), 'password'])],
      ...(proven?.from === undefined ? {} : { from: proven.from }),
    };
  }
  if (proven === null) throw refused();
  return proven;
}

async function userByPassword(
  request: IdentityRequest<AuthRequest>,
  user: NonNullable<AuthRequest['auth']['identity']['password']>['user'],
): Promise<string> {
  const { db } = request.context;
  const named = 'id' in user ? `id ${user.id}` : `name ${JSON.stringify(user.domain)} ${user.name}`;
  const attempt = await countAttempt(db, named.slice(0, 600), request.address);
  const base = db
    .selectFrom('identity_user as u')
    .innerJoin('identity_domain as d', 'd.id', 'u.domain_id')
    .select(['u.id', 'u.password_hash', 'u.enabled', 'd.enabled as domainEnabled']);
  const row =
    'id' in user
      ? await base.where('u.id', '=', user.id).executeTakeFirst()
      : await base
          .where('u.name', '=', user.name)
          .where('id' in user.domain ? 'd.id' : 'd.name', '=', 'id' in user.domain ? user.domain.id : user.domain.name)
          .executeTakeFirst();
  const right = await verifyPassword(row?.password_hash ?? null, user.password);
  if (row === undefined || !right || !row.enabled || !row.domainEnabled) throw refused();
  await attempt.succeeded();
  return row.id;
}

async function wantedScope(db: Db, body: AuthRequest, userId: string): Promise<TokenScope> {
  const { scope } = body.auth;
  if (scope === undefined) return defaultScope(db, userId);
  if (scope === 'unscoped' || 'unscoped' in scope) return { kind: 'none' };
  if ('domain' in scope) {
    const domain = await domainBy(db, scope.domain);
    if (domain === null) throw refused();
    return { kind: 'domain', domainId: domain };
  }
  const { project } = scope;
  if ('id' in project) return { kind: 'project', projectId: project.id };
  const domain = await domainBy(db, project.domain);
  const row = await db
    .selectFrom('identity_project')
    .select('id')
    .where('name', '=', project.name)
    .where('domain_id', '=', domain ?? '')
    .executeTakeFirst();
  if (row === undefined) throw refused();
  return { kind: 'project', projectId: row.id };
}

/** Without a scope: the user's own default project, if they have a role there. */
async function defaultScope(db: Db, userId: string): Promise<TokenScope> {
  const row = await db
    .selectFrom('identity_user as u')
    .innerJoin('identity_project as p', 'p.id', 'u.default_project_id')
    .innerJoin('role_assignment as a', (join) => join.onRef('a.user_id', '=', 'u.id').onRef('a.project_id', '=', 'p.id'))
    .select('p.id')
    .where('u.id', '=', userId)
    .where('p.enabled', '=', true)
    .executeTakeFirst();
  return row === undefined ? { kind: 'none' } : { kind: 'project', projectId: row.id };
}

async function domainBy(db: Db, domain: DomainRef): Promise<string | null> {
  const query = db.selectFrom('identity_domain').select('id');
  const row = await ('id' in domain ? query.where('id', '=', domain.id) : query.where('name', '=', domain.name)).executeTakeFirst();
  return row?.id ?? null;
}

function tokenBody(request: IdentityRequest<never> | IdentityRequest, token: Token) {
  const withCatalog = token.scope.kind !== 'none' && !request.query.has('nocatalog');
  return {
    token: {
      methods: token.methods,
      user: { id: token.user.id, name: token.user.name, domain: token.user.domain, password_expires_at: null },
      // Its own and that of the first of its line, as clients know it.
      audit_ids: [...new Set([token.auditIds.at(0), token.auditIds.at(-1)])],
      issued_at: `${microTime(token.issuedAt)}Z`,
      expires_at: `${microTime(token.expiresAt)}Z`,
      ...(token.project === null ? {} : { project: token.project, is_domain: false }),
      ...(token.domain === null ? {} : { domain: token.domain, is_domain: false }),
      ...(token.scope.kind === 'none' ? {} : { roles: token.roles }),
      ...(withCatalog ? { catalog: serviceCatalog(request.context.config.publicUrl, request.context.config.region) } : {}),
    },
  };
}

/** The token of `X-Subject-Token`, which its owner and an admin may look at. */
async function subject(request: IdentityRequest<never>, rule: string): Promise<{ readonly token: Token; readonly text: string }> {
  const text = request.headers['x-subject-token'];
  if (typeof text !== 'string' || text === '') throw new GodwitError('BadRequest', 'The header X-Subject-Token is required.');
  const token = await readToken(request.context.db, text);
  if (token === null) throw notFound('token', 'the one of X-Subject-Token does not hold');
  const own = caller(request);
  if (!isAdmin(own) && own.user.id !== token.user.id) throw refusedByPolicy(rule);
  return { token, text };
}

export const tokenRoutes: readonly IdentityRoute[] = [
  {
    method: 'POST',
    path: '/v3/auth/tokens',
    who: 'anonymous',
    rule: 'authenticate',
    body: AuthRequest,
    response: TokenAnswer,
    handle: authenticate,
  } satisfies IdentityRoute<AuthRequest>,
  {
    method: 'GET',
    path: '/v3/auth/tokens',
    who: 'anyone',
    rule: 'validate_token',
    response: TokenAnswer,
    handle: async (request) => {
      const { token, text } = await subject(request, 'validate_token');
      return { status: 200, headers: { 'x-subject-token': text, vary: 'X-Auth-Token' }, body: tokenBody(request, token) };
    },
  },
  {
    method: 'HEAD',
    path: '/v3/auth/tokens',
    who: 'anyone',
    rule: 'check_token',
    response: null,
    handle: async (request) => {
      const { text } = await subject(request, 'check_token');
      return { status: 200, headers: { 'x-subject-token': text, vary: 'X-Auth-Token' } };
    },
  },
  {
    method: 'DELETE',
    path: '/v3/auth/tokens',
    who: 'anyone',
    rule: 'revoke_token',
    response: null,
    handle: async (request) => {
      const { token } = await subject(request, 'revoke_token');
      await revokeToken(request.context.db, token);
      return { status: 204 };
    },
  },
  {
    method: 'GET',
    path: '/v3/auth/catalog',
    who: 'anyone',
    rule: 'get_auth_catalog',
    response: CatalogAnswer,
    handle: async (request) => {
      if (caller(request).scope.kind === 'none') throw refusedByPolicy('get_auth_catalog');
      const { publicUrl, region } = request.context.config;
      return { status: 200, body: { catalog: serviceCatalog(publicUrl, region), links: listLinks(request, '/auth/catalog') } };
    },
  },
];
