import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../workflows/operations.ts';
import { failureOf, type HttpFailure } from './http-error.ts';
import { assertBody, readJsonBody, violation } from './json-body.ts';
import { parseQuery, type Query } from './query.ts';
import { type ApiContext, callerOf, linkBase, requireToken } from './request-context.ts';
import { type Method, routeTable } from './route-table.ts';

/** One authenticated request to a service without per-route microversions (image, network, placement). */
export type ServiceRequest<Body = unknown, Context = ApiContext> = {
  readonly context: Context;
  readonly caller: Caller;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly headers: IncomingHttpHeaders;
  /** The body as it arrives; only of a route with `body: 'stream'`, nobody else may read it. */
  readonly stream: Readable;
  /** `<scheme>://<host>/<service>`, for links. */
  readonly base: string;
  /** Path behind the service's prefix, without query. */
  readonly path: string;
  /** Minor of the negotiated microversion; 0 where the service has none. */
  readonly minor: number;
};

export type ServiceAnswer = {
  readonly status: number;
  readonly body?: object;
  /** Instead of `body`: bytes, sent as they come. */
  readonly file?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
};

export type ServiceRoute<Context = ApiContext> = {
  readonly method: Method;
  readonly path: string;
  /** A JSON schema: the body is read and checked against it. `stream`: the handler reads it. Absent: it is not read. */
  readonly body?: object | 'stream';
  /** JSON types besides application/json. */
  readonly bodyTypes?: readonly string[];
  /** Closed schema of the answer's body when it succeeds, for tests; null: none. */
  readonly response?: object | null | ((minor: number) => object);
  readonly handle: (request: ServiceRequest<never, Context>) => Promise<ServiceAnswer>;
};

export type Service<Context> = {
  /** e.g. `/image`; the plugin is registered under it. */
  readonly prefix: string;
  readonly routes: readonly ServiceRoute<Context>[];
  /** Answers without a token: discovery. Null: not one of those. */
  readonly open: (path: string, base: string) => ServiceAnswer | null;
  readonly errorBody: (failure: HttpFailure, requestId: string) => object;
  /** Settles the microversion and its response headers before anything else; throws when there is no such version. */
  readonly negotiate?: (headers: IncomingHttpHeaders, reply: (headers: Readonly<Record<string, string>>) => void) => number;
  /** Every successful answer is held against its schema; one that does not fit becomes a 500 that says why. For tests. */
  readonly checkResponses?: boolean;
};

/** The most that a JSON body may have. */
const maxJsonBytes = 1024 * 1024;

/**
 * Serves the routes below the prefix: token 401, route 404/405, content type 415, body 400, then the resource's own refusals. Every error has the service's shape and every
 * answer `x-openstack-request-id`.
 */
export function serveRoutes<Context extends ApiContext>(app: FastifyInstance, context: Context, service: Service<Context>): void {
  const table = routeTable(service.routes);
  app.removeAllContentTypeParsers();
  // Bodies are left unread: an image goes straight to the disk, and JSON is read where a route wants it.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-openstack-request-id', request.id);
  });
  app.setErrorHandler((error, request, reply) => {
    const failure = failureOf(error, request.id);
    if (failure.unexpected)
      context.log.error({ err: error, requestId: request.id, method: request.method, url: request.url.split('?')[0] }, 'request failed');
    if (failure.status === 401)
      void reply.header('www-authenticate', `Keystone uri="${linkBase(context.config.publicUrl, request.headers)}/identity"`);
    // What was not read of the body would be taken for the next request.
    if (!request.raw.complete) void reply.header('connection', 'close');
    return send(reply, { status: failure.status, body: service.errorBody(failure, request.id) });
  });
  const serve = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const [urlPath = '', queryText = ''] = request.url.split(/\?(.*)/s, 2);
    const path = urlPath.slice(service.prefix.length);
    const base = `${linkBase(context.config.publicUrl, request.headers)}${service.prefix}`;
    const minor = service.negotiate?.(request.headers, (headers) => void reply.headers({ ...headers })) ?? 0;
    if (request.method === 'GET' || request.method === 'HEAD') {
      const open = service.open(path.replace(/\/+$/, ''), base);
      if (open !== null) return send(reply, open);
    }
    const caller = callerOf(await requireToken(context.db, request), request.id);
    const match = table.find(request.method, path);
    if (match.kind === 'no-path') throw new GodwitError('NotFound', 'The resource could not be found.');
    if (match.kind === 'no-method') {
      void reply.header('allow', match.allowed.join(', '));
      throw new GodwitError('MethodNotAllowed', `The method ${request.method} is not allowed for this resource.`);
    }
    const { route, params } = match;
    let body: unknown;
    if (route.body !== undefined && route.body !== 'stream') {
      body = readJsonBody(await readBytes(request.raw), jsonType(request.headers['content-type'], route.bodyTypes));
      assertBody(route.body, body);
    }
    // The schema just checked is what makes the body the type that the route's handler declares.
    const serviceRequest = {
      context,
      caller,
      params,
      query: parseQuery(queryText),
      body,
      headers: request.headers,
      stream: request.raw,
      base,
      path,
      minor,
    } as unknown as ServiceRequest<never, Context>;
    const answer = await route.handle(serviceRequest);
    if (service.checkResponses === true) checkResponse(answer, route, minor);
    return send(reply, answer);
  };
  app.route({ method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'], url: '/*', exposeHeadRoute: false, handler: serve });
  app.route({ method: ['GET', 'HEAD'], url: '/', exposeHeadRoute: false, handler: serve });
}

/** The caller may change things: role member (or manager) in the project, or admin. */
export function assertMember(caller: Caller): void {
  if (!caller.isAdmin && !(caller.projectId !== '' && caller.roles.some((role) => role === 'member' || role === 'manager'))) {
    throw new GodwitError('Forbidden', 'You are not authorized to complete this action.');
  }
}

export function assertAdmin(caller: Caller): void {
  if (!caller.isAdmin) throw new GodwitError('Forbidden', 'You are not authorized to complete this action.');
}

async function readBytes(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxJsonBytes) throw new GodwitError('BadRequest', 'Request is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A type that the route takes counts as JSON. */
function jsonType(contentType: string | undefined, also: readonly string[] | undefined): string | undefined {
  const type = contentType?.split(';')[0]?.trim().toLowerCase();
  return type !== undefined && also?.includes(type) === true ? 'application/json' : contentType;
}

function send(reply: FastifyReply, answer: ServiceAnswer): FastifyReply {
  void reply.code(answer.status);
  if (answer.headers !== undefined) void reply.headers({ ...answer.headers });
  if (answer.file !== undefined) return reply.send(answer.file);
  if (answer.body === undefined) return reply.send();
  return reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify(answer.body)));
}

function checkResponse<Context>(answer: ServiceAnswer, route: ServiceRoute<Context>, minor: number): void {
  if (answer.file !== undefined) return;
  const where = `${route.method} ${route.path}`;
  if (route.response === undefined) throw new Error(`${where}: no response schema`);
  if (route.response === null) {
    if (answer.body !== undefined) throw new Error(`${where}: a body where none belongs`);
    return;
  }
  const schema = typeof route.response === 'function' ? route.response(minor) : route.response;
  const found = violation(schema, answer.body === undefined ? undefined : JSON.parse(JSON.stringify(answer.body)));
  if (found !== null) throw new Error(`${where}: the answer breaks its schema: ${found}`);
}
