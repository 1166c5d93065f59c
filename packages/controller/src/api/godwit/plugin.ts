import { GodwitError } from '@godwit/domain/errors';
import { failureOf } from '../http-error.ts';
import type { ServicePlugin } from '../plugins.ts';
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
import { operationRoutes } from './operations.ts';
import { predictionRoutes } from './predictions.ts';
import { serverDiskRoutes } from './server-disks.ts';
import { serverGroupRoutes } from './server-groups.ts';
import { stuckRoutes } from './stuck.ts';

/** Godwit's own API: what OpenStack's has no word for. Errors are `{"error": {"code", "message", "requestId"}}`, the code being one of domain/errors. */
export const godwitPlugin: ServicePlugin = async (app, context) => {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-openstack-request-id', request.id);
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
    resources: [
      'GET /migrations',
      'GET /migrations/{id}',
      'GET /migrations/{id}/samples',
      'POST /migrations/{id}/abort',
      'POST /migrations/{id}/force-complete',
      'PATCH /migrations/{id}',
      'GET /migration-policies',
      'PUT /migration-policies/{default|project}',
      'DELETE /migration-policies/{default|project}',
      'POST /servers/{id}/live-migrations',
      'GET /servers/{id}/prediction',
      'GET /predictions/score',
      'GET /stuck',
      'GET /servers/{id}/destinations',
      'GET /servers/{id}/disks',
      'GET /server-groups',
      'GET /server-groups/{id}',
      'POST /server-groups/{id}/members/{server}',
      'DELETE /server-groups/{id}/members/{server}',
      'GET /hosts',
      'PATCH /hosts/{name}',
      'POST /hosts/{name}/fence',
      'POST /join-tokens',
      'POST /plans',
      'GET /operations',
      'POST /operations',
      'GET /operations/{id}',
      'POST /operations/{id}/pause',
      'POST /operations/{id}/resume',
      'POST /operations/{id}/abort',
      'POST /operations/{id}/retry',
      'POST /operations/{id}/hosts/{name}/done',
      'GET /balance',
      'GET /audit',
      'GET /doctor',
      'GET /bundles/{migration or request id}',
      'GET /events',
      'GET /consoles (websocket)',
    ],
    // What a client has to know to tell how long a finished cold move waits before it is confirmed by itself; 0: for ever.
    settings: { resizeConfirmWindowSeconds: context.config.resizeConfirmWindowSeconds ?? 0 },
  }));
  migrationRoutes(app, context);
  liveMigrationRoutes(app, context);
  migrationPolicyRoutes(app, context);
  predictionRoutes(app, context);
  stuckRoutes(app, context);
  destinationRoutes(app, context);
  serverDiskRoutes(app, context);
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
