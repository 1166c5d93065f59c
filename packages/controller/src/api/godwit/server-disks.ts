import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { requireCaller } from '../request-context.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `GET /servers/{id}/disks`: the server's own disks, and whether other hosts reach each (`shared`) or only its host does (`local`). For the project and admins. */
export function serverDiskRoutes(app: FastifyInstance, { db }: Pick<AppContext, 'db'>): void {
  app.get('/servers/:id/disks', async (request) => {
    const caller = await requireCaller(db, request);
    const { id } = request.params as { id: string };
    const server = uuid.test(id)
      ? await db.selectFrom('server').select(['id', 'project_id']).where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst()
      : undefined;
    if (server === undefined || (!caller.isAdmin && server.project_id !== caller.projectId))
      throw new GodwitError('ServerNotFound', `Instance ${id.slice(0, 255)} could not be found.`);
    const disks = await db.selectFrom('disk').selectAll().where('server_id', '=', server.id).orderBy('device_index').execute();
    return {
      disks: disks.map((disk) => ({
        id: disk.id,
        deviceIndex: disk.device_index,
        storage: disk.storage,
        pool: disk.pool,
        format: disk.format,
        sizeBytes: disk.size_bytes,
        imageId: disk.image_id,
      })),
    };
  });
}
