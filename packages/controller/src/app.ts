import { randomUUID } from 'node:crypto';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { servicePlugins } from './api/plugins.ts';
import type { AppContext } from './app-context.ts';
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
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 255 },
    ajv: { customOptions: { coerceTypes: false, useDefaults: false, removeAdditional: false, allErrors: false } },
    bodyLimit: 1024 * 1024,
    forceCloseConnections: true,
  }) as unknown as FastifyInstance;
  app.addHook('onResponse', (request, reply, done) => {
    request.log.info(
      { method: request.method, url: request.url.split('?')[0], status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 },
      'request',
    );
    done();
  });
  for (const { prefix, plugin } of servicePlugins) await app.register(async (scope) => plugin(scope, context), { prefix });
  await app.ready();
  return app;
}
