import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { failureOf, identityErrorBody } from '../http-error.ts';
import { assertBody, readJsonBody, violation } from '../json-body.ts';
import type { ServicePlugin } from '../plugins.ts';
import { parseQuery } from '../query.ts';
import { type ApiContext, linkBase, requireToken } from '../request-context.ts';
import { routeTable } from '../route-table.ts';
import { type IdentityAnswer, type IdentityRequest, isAdmin, refusedByPolicy } from './route.ts';
import { identityRoutes } from './routes.ts';

/** The identity API v3 at `/identity`: discovery without a token, errors in Keystone's shape. */
export const identityPlugin: ServicePlugin = async (app, context) => registerIdentity(app, context);

export type IdentityOptions = {
  /** Every successful answer is held against its closed schema; one that does not fit becomes a 500. For tests. */
  readonly checkResponses?: boolean;
};

export function registerIdentity(app: FastifyInstance, context: ApiContext, options: IdentityOptions = {}): void {
  const table = routeTable(identityRoutes);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({ 'x-openstack-request-id': request.id, vary: 'X-Auth-Token' });
  });
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply, context));

  const serve = async (request: FastifyRequest, reply: FastifyReply) => {
    const [pathText = '', queryText = ''] = request.url.split(/\?(.*)/s);
    const path = pathText.replace(/^\/identity/, '');
    const origin = linkBase(context.config.publicUrl, request.headers);
    const version = versionEntry(origin);
    const reading = request.method === 'GET' || request.method === 'HEAD';
    if (reading && /^\/*$/.test(path)) return send(reply, { status: 300, body: { versions: { values: [version] } } });
    if (reading && /^\/v3\/*$/.test(path)) return send(reply, { status: 200, body: { version } });
    const match = table.find(request.method, path);
    if (match.kind === 'no-path') throw new GodwitError('NotFound', `Could not find ${path.slice(0, 120)}.`);
    if (match.kind === 'no-method') {
      void reply.header('allow', match.allowed.join(', '));
      throw new GodwitError('MethodNotAllowed', `The method ${request.method} is not allowed for this resource.`);
    }
    const { route } = match;
    const token = route.who === 'anonymous' ? null : await requireToken(context.db, request);
    if (route.who === 'admin' && (token === null || !isAdmin(token))) throw refusedByPolicy(route.rule);
    let body: unknown;
    if (route.body !== undefined) {
      body = readJsonBody(request.body, request.headers['content-type']);
      assertBody(route.body, body);
    }
    // The schema just checked is what makes the body the type that the route's handler declares.
    const identityRequest = {
      context,
      token,
      params: match.params,
      query: parseQuery(queryText),
      body,
      headers: request.headers,
      address: request.ip,
      origin,
      base: `${origin}/identity/v3`,
    } as IdentityRequest<never>;
    const answer = await route.handle(identityRequest);
    if (options.checkResponses === true) check(answer, route.response, `${request.method} ${route.path}`);
    return send(reply, answer);
  };
  app.route({ method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'], url: '/*', exposeHeadRoute: false, handler: serve });
  app.route({ method: ['GET', 'HEAD'], url: '/', exposeHeadRoute: false, handler: serve });
}

const versionEntry = (origin: string) => ({
  id: 'v3.14',
  status: 'stable',
  updated: '2020-04-07T00:00:00Z',
  links: [{ rel: 'self', href: `${origin}/identity/v3/` }],
  'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
});

function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply, context: ApiContext): FastifyReply {
  const failure = failureOf(error, request.id);
  if (failure.unexpected)
    context.log.error(
      { err: error, requestId: request.id, method: request.method, url: request.url.split('?')[0] },
      'identity request failed',
    );
  if (failure.retryAfterSeconds !== undefined) void reply.header('retry-after', String(failure.retryAfterSeconds));
  if (failure.status === 401)
    void reply.header('www-authenticate', `Keystone uri="${linkBase(context.config.publicUrl, request.headers)}/identity"`);
  return send(reply, { status: failure.status, body: identityErrorBody(failure) });
}

function send(reply: FastifyReply, answer: IdentityAnswer): FastifyReply {
  void reply.code(answer.status);
  if (answer.headers !== undefined) void reply.headers({ ...answer.headers });
  if (answer.body === undefined) return reply.send();
  return reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify(answer.body)));
}

function check(answer: IdentityAnswer, schema: object | null, where: string): void {
  const found =
    schema === null
      ? answer.body === undefined
        ? null
        : 'a body where none belongs'
      : violation(schema, JSON.parse(JSON.stringify(answer.body ?? null)));
  if (found !== null) throw new Error(`${where}: the answer breaks its schema: ${found}`);
}
