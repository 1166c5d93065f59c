import { GodwitError } from '@godwit/domain/errors';
import { failureOf } from '../http-error.ts';
import { assertStorable } from '../json-body.ts';
import type { ServicePlugin } from '../plugins.ts';
import { servicePrefixes } from '../service-prefixes.ts';
import { auditRoutes } from './audit.ts';
import { consoleSockets } from './consoles/console-sockets.ts';
import { destinationRoutes } from './destinations.ts';
import { doctorRoutes } from './doctor.ts';
import { eventRoutes } from './events.ts';
import { fenceHostRoutes } from './fence-host.ts';
import { hostFactRoutes } from './host-facts.ts';
import { hostSettingRoutes } from './host-settings.ts';
import { joinTokenRoutes } from './join-tokens.ts';
import { liveMigrationRoutes } from './live-migrations.ts';
import { migrationPolicyRoutes } from './migration-policies.ts';
import { migrationRoutes } from './migrations.ts';
import { openApiDocument } from './openapi.ts';
import { operationRoutes } from './operations.ts';
import { predictionRoutes } from './predictions.ts';
import { routeDocs } from './route-docs.ts';
import { serverDiskRoutes } from './server-disks.ts';
import { serverGroupRoutes } from './server-groups.ts';
import { serverScaleRoutes } from './server-scale.ts';
import { stuckRoutes } from './stuck.ts';

/** Godwit's own API: what OpenStack's has no word for. Errors are `{"error": {"code", "message", "requestId"}}`, the code being one of domain/errors. */
export const godwitPlugin: ServicePlugin = async (app, context) => {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-openstack-request-id', request.id);
  });
  app.addHook('preHandler', async ({ params, query, body }) => {
    assertStorable(params, 'path');
    assertStorable(query, 'query');
    for (const [name, value] of Object.entries(query as Readonly<Record<string, unknown>>))
      if (Array.isArray(value)) throw new GodwitError('BadRequest', `The query has "${name.slice(0, 60)}" more than once.`);
    assertStorable(body, 'request body');
  });
  app.setErrorHandler((error, request, reply) => {
    const failure = failureOf(error, request.id);
    if (failure.unexpected) request.log.error({ err: error }, 'an unexpected error');
    const code = error instanceof GodwitError ? error.code : failure.status === 500 ? 'Internal' : 'BadRequest';
    return reply.code(failure.status).send({ error: { code, message: failure.message, requestId: request.id } });
  });
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send({ error: { code: 'NotFound', message: `There is no ${request.method} ${request.url.split('?')[0]}.`, requestId: request.id } }),
  );
  app.get('/', async () => ({
    name: 'godwit',
    version: 'v1',
    resources: routeDocs.filter(({ path }) => path !== '/').map(({ method, path }) => `${method} ${path}`),
    // What a client has to know to tell how long a finished cold move waits before it is confirmed by itself; 0: for ever.
    settings: { resizeConfirmWindowSeconds: context.config.resizeConfirmWindowSeconds ?? 0 },
  }));
  app.get('/openapi.json', async () => openApiDocument(`${context.config.publicUrl}${servicePrefixes.godwit}`));
  migrationRoutes(app, context);
  liveMigrationRoutes(app, context);
  migrationPolicyRoutes(app, context);
  predictionRoutes(app, context);
  stuckRoutes(app, context);
  destinationRoutes(app, context);
  serverDiskRoutes(app, context);
  serverScaleRoutes(app, context);
  serverGroupRoutes(app, context);
  operationRoutes(app, context);
  hostFactRoutes(app, context);
  hostSettingRoutes(app, context);
  fenceHostRoutes(app, context);
  joinTokenRoutes(app, context);
  auditRoutes(app, context);
  doctorRoutes(app, context);
  eventRoutes(app, context);
  consoleSockets(app, context);
};
