import { randomUUID } from 'node:crypto';
import { withinScope } from '@godwit/telemetry/request-scope';
import { type OpenSpan, openSpan } from '@godwit/telemetry/tracing';
import Fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify';
import { servicePlugins } from './api/plugins.ts';
import { tokenOf } from './api/request-context.ts';
import { servicePrefixOf } from './api/service-prefixes.ts';
import type { AppContext } from './app-context.ts';
import { noteRequest } from './audit/note-request.ts';
import { readTls } from './public-listener.ts';

/**
 * The public HTTP application, ready but not listening. Bodies are taken as they are (no coercion, defaults or removal); a request's id is
 * `req-<uuid>` in the log and in the answer.
 */
export async function buildApp(context: AppContext): Promise<FastifyInstance> {
  const tls = await readTls(context.config.tls);
  const app = Fastify({
    ...(tls === null ? {} : { https: tls }),
    loggerInstance: context.log,
    genReqId: () => `req-${randomUUID()}`,
    requestIdHeader: false,
    // The log says by itself whose request a line belongs to (request-scope): a logger per request would say it twice.
    childLoggerFactory: (logger) => logger,
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 255 },
    ajv: { customOptions: { coerceTypes: false, useDefaults: false, removeAdditional: false, allErrors: false } },
    bodyLimit: 1024 * 1024,
    forceCloseConnections: true,
  }) as unknown as FastifyInstance;
  const spans = new WeakMap<FastifyRequest, OpenSpan>();
  app.addHook('onRequest', (request, _reply, done) => {
    const span = openSpan(
      `${request.method} ${servicePrefixOf(request.url)}`,
      { 'http.request.method': request.method },
      { requestId: request.id, traceparent: null },
    );
    spans.set(request, span);
    withinScope(span.scope, done);
  });
  // What follows a body's last byte runs in the connection's context: it is entered again.
  app.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request);
    if (span === undefined) done();
    else withinScope(span.scope, done);
  });
  // Before the answer: what was answered is in the audit log.
  app.addHook('onSend', async (request, reply) => {
    await noteRequest(context.db, context.log, request, reply.statusCode, tokenOf(request));
  });
  app.addHook('onResponse', (request, reply, done) => {
    const path = request.url.split('?')[0] ?? '';
    spans
      .get(request)
      ?.end({ 'url.path': path, 'http.response.status_code': reply.statusCode }, reply.statusCode >= 500 ? `${reply.statusCode}` : null);
    const status = `${Math.floor(reply.statusCode / 100)}xx`;
    context.metrics.apiRequestSeconds.observe(
      { service: servicePrefixOf(request.url), method: request.method, status },
      reply.elapsedTime / 1_000,
    );
    request.log.info(
      { requestId: request.id, method: request.method, url: path, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 },
      'request',
    );
    done();
  });
  for (const { prefix, plugin } of servicePlugins) await app.register(async (scope) => plugin(scope, context), { prefix });
  await app.ready();
  return app;
}
