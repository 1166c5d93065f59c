import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { computeErrorBody, failureOf, identityErrorBody } from '../http-error.ts';
import { assertBody, readJsonBody, violation } from '../json-body.ts';
import { computeMicroversions, microversionHeaders, negotiate } from '../microversion.ts';
import type { ServicePlugin } from '../plugins.ts';
import { knownQuery, parseQuery } from '../query.ts';
import { type ApiContext, callerOf, linkBase, requireToken } from '../request-context.ts';
import { type RouteMatch, type RouteTable, routeTable } from '../route-table.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, type Variant, variantAt } from './route.ts';
import { computeRoutes } from './routes.ts';
import { versionDocument, versionList } from './versions.ts';

/** The compute API at `/compute`: discovery without a token, `/v2.1` with microversions, `/v2` the same without. */
export const computePlugin: ServicePlugin = async (app, context) => registerCompute(app, context);

export type ComputeOptions = {
  readonly routes?: readonly ComputeRoute[];
  /** Every successful answer is held against the closed schema of its microversion; one that does not fit becomes a 500 that says why. For tests. */
  readonly checkResponses?: boolean;
};

/**
 * One handler for everything below the prefix, so that the order of refusals is the API's own: token 401, microversion 400/406, route 404/405,
 * content type 415, body 400, then the resource's. Every answer carries both request id headers, and both microversion headers where there are microversions.
 */
export function registerCompute(app: FastifyInstance, context: ApiContext, options: ComputeOptions = {}): void {
  const table = routeTable(options.routes ?? computeRoutes);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({ 'x-openstack-request-id': request.id, 'x-compute-request-id': request.id });
  });
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply, context));

  const root = async (request: FastifyRequest, reply: FastifyReply) =>
    send(reply, versionList(linkBase(context.config.publicUrl, request.headers)));
  app.get('/', root);
  const serve = async (request: FastifyRequest, reply: FastifyReply) => {
    const [pathText = '', queryText = ''] = splitUrl(request.url);
    const inside = /^\/compute\/(v2\.1|v2)(\/.*)?$/.exec(pathText);
    if (inside === null) throw new GodwitError('NotFound', 'The resource could not be found.');
    const origin = linkBase(context.config.publicUrl, request.headers);
    const rest = inside[2] ?? '/';
    // keystoneauth asks for the version document before it has a token.
    if (/^\/*$/.test(rest) && (request.method === 'GET' || request.method === 'HEAD')) {
      return send(reply, versionDocument(origin, inside[1] === 'v2' ? 'v2.0' : 'v2.1'));
    }
    const token = await requireToken(context.db, request);
    const minor = inside[1] === 'v2' ? 1 : negotiated(request, reply);
    if (token.project === null) throw new GodwitError('Forbidden', 'The compute API needs a token that is scoped to a project.');
    const caller = callerOf(token, request.id);
    const { path, projectId } = withoutProject(rest);
    if (projectId !== null && projectId !== caller.projectId)
      throw new GodwitError('BadRequest', "Malformed request URL: URL's project_id doesn't match the token's project");
    const { match, variant } = routeAt(table, request.method, path, minor, reply);
    const asked = parseQuery(queryText);
    const query = variant.query === undefined ? asked : knownQuery(variant.query(minor), asked);
    let body: unknown;
    if (variant.body !== undefined) {
      body = readJsonBody(request.body, request.headers['content-type']);
      assertBody(variant.body(minor), body);
    }
    // The schema just checked is what makes the body the type that the variant's handler declares.
    const computeRequest = {
      context,
      caller,
      minor,
      params: match.params,
      query,
      body,
      base: `${origin}/compute/${inside[1]}`,
      path,
    } as ComputeRequest<never>;
    const answer = await variant.handle(computeRequest);
    if (options.checkResponses === true)
      checkResponse(answer, variant.response?.(minor, caller.isAdmin), `${request.method} ${match.route.path} at 2.${minor}`);
    return send(reply, answer);
  };
  app.route({ method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'], url: '/*', exposeHeadRoute: false, handler: serve });
}

/** Settles the microversion and puts it into the answer's headers; throws 400 or 406. */
function negotiated(request: FastifyRequest, reply: FastifyReply): number {
  const answer = negotiate(computeMicroversions, request.headers);
  // A 406 echoes what was asked for; a 400 has nothing to echo but the default.
  void reply.headers(microversionHeaders(computeMicroversions, answer.ok ? `2.${answer.minor}` : (answer.asked ?? '2.1')));
  if (!answer.ok) throw new GodwitError(answer.status === 406 ? 'UnsupportedMicroversion' : 'BadRequest', answer.message);
  return answer.minor;
}

type Found = { readonly match: Extract<RouteMatch<ComputeRoute>, { kind: 'found' }>; readonly variant: Variant };

/** Throws 404 for a path that is unknown or absent at this minor, 405 for a known one without the method. */
function routeAt(table: RouteTable<ComputeRoute>, method: string, path: string, minor: number, reply: FastifyReply): Found {
  const match = table.find(method, path);
  if (match.kind === 'no-method') {
    void reply.header('allow', match.allowed.join(', '));
    throw new GodwitError('MethodNotAllowed', `The method ${method} is not allowed for this resource.`);
  }
  const variant = match.kind === 'found' ? variantAt(match.route, minor) : null;
  if (match.kind === 'no-path' || variant === null) throw new GodwitError('NotFound', 'The resource could not be found.');
  return { match, variant };
}

function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply, context: ApiContext): FastifyReply {
  const failure = failureOf(error, request.id);
  if (failure.unexpected)
    context.log.error(
      { err: error, requestId: request.id, method: request.method, url: splitUrl(request.url)[0] },
      'compute request failed',
    );
  if (failure.retryAfterSeconds !== undefined) void reply.header('retry-after', String(failure.retryAfterSeconds));
  if (failure.status === 401) {
    // The answer of the token check is identity's, not compute's: clients read the URL out of it.
    void reply.header('www-authenticate', `Keystone uri="${linkBase(context.config.publicUrl, request.headers)}/identity"`);
    return send(reply, { status: 401, body: identityErrorBody(failure) });
  }
  return send(reply, { status: failure.status, body: computeErrorBody(failure) });
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  void reply.code(answer.status);
  if (answer.headers !== undefined) void reply.headers({ ...answer.headers });
  const json = jsonOf(answer);
  if (json === undefined) return reply.send();
  return reply.header('content-type', 'application/json').send(Buffer.from(json));
}

const jsonOf = ({ body, json }: Answer): string | undefined => json ?? (body === undefined ? undefined : JSON.stringify(body));

/** Old clients put their project into the path: `/v2.1/<32 hex digits or uuid>/servers`. No resource of the API is named so. */
function withoutProject(path: string): { readonly path: string; readonly projectId: string | null } {
  const match = /^\/+([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(\/.*)$/.exec(path);
  return match === null ? { path, projectId: null } : { path: match[2] ?? '/', projectId: match[1] ?? null };
}

function checkResponse(answer: Answer, schema: object | null | undefined, where: string): void {
  if (schema === undefined) throw new Error(`${where}: no response schema`);
  const json = jsonOf(answer);
  if (schema === null) {
    if (json !== undefined) throw new Error(`${where}: a body where none belongs`);
    return;
  }
  const found = violation(schema, JSON.parse(json ?? 'null'));
  if (found !== null) throw new Error(`${where}: the answer breaks its schema: ${found}`);
}

function splitUrl(url: string): readonly [string, string] {
  const at = url.indexOf('?');
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)];
}
