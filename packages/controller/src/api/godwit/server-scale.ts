import { ScaleServer } from '@godwit/contract/schemas/godwit/server-scale';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { maxRamOf, maxVcpusOf, ramOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import type { ScaleRequest } from '../../workflows/operations.ts';
import { assertBody } from '../json-body.ts';
import { requireCaller } from '../request-context.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `GET /servers/{id}/scale`: how many vCPUs and how much memory the server has, and may have; `POST` gives it others, where it is. For the project and admins. */
export function serverScaleRoutes(app: FastifyInstance, { db, operations }: Pick<AppContext, 'db' | 'operations'>): void {
  app.get('/servers/:id/scale', async (request) => {
    const caller = await requireCaller(db, request);
    const { id } = request.params as { readonly id: string };
    const server = uuid.test(id)
      ? await db
          .selectFrom('server')
          .select(['id', 'name', 'project_id', 'task_state', 'flavor'])
          .where('id', '=', id)
          .where('deleted_at', 'is', null)
          .executeTakeFirst()
      : undefined;
    if (server === undefined || (!caller.isAdmin && server.project_id !== caller.projectId)) throw notFound(id);
    const { flavor } = server;
    const vcpus = { current: vcpusOf(flavor), least: flavor.vcpus, most: maxVcpusOf(flavor) ?? flavor.vcpus };
    const ramMib = { current: ramOf(flavor), least: flavor.ram_mib, most: maxRamOf(flavor) ?? flavor.ram_mib };
    return { server: { id: server.id, name: server.name, taskState: server.task_state, vcpus, ramMib } };
  });
  app.post('/servers/:id/scale', async (request, reply) => {
    const caller = await requireCaller(db, request);
    const { id } = request.params as { readonly id: string };
    if (!uuid.test(id)) throw notFound(id);
    assertBody(ScaleServer, request.body);
    const to = request.body as ScaleRequest;
    await operations.scale(caller, as<ServerId>(id), to);
    return reply.code(202).send({ server: { id, ...to }, requestId: caller.requestId });
  });
}

const notFound = (id: string): GodwitError => new GodwitError('ServerNotFound', `Instance ${id.slice(0, 255)} could not be found.`);
