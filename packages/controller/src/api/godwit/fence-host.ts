import { FenceHost } from '@godwit/contract/schemas/godwit/fence-host';
import { fencingWarning } from '@godwit/domain/custody/fencing';
import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { assertBody } from '../json-body.ts';
import { requireAdmin } from './require-admin.ts';

/**
 * `POST /hosts/{name}/fence` with `{"confirmed": true}`: the operator's word that a silent host is powered off or cut off for good, so that nothing waits for it. For admins. 409 while
 * the host is heard of; 400 with what a false word does when it is not confirmed. It ends by itself when the host is back and was compared.
 */
export function fenceHostRoutes(app: FastifyInstance, { db, operations }: Pick<AppContext, 'db' | 'operations'>): void {
  app.post('/hosts/:name/fence', async (request, reply) => {
    const caller = await requireAdmin(db, request);
    const { name } = request.params as { readonly name: string };
    assertBody(FenceHost, request.body);
    const { confirmed } = request.body as { readonly confirmed: boolean };
    const warning = fencingWarning(name.slice(0, 255));
    if (!confirmed) throw new GodwitError('BadRequest', `${warning} Nothing was changed: "confirmed" has to be true.`);
    const host = await operations.fenceHost(caller, name);
    request.log.warn({ host: host.id, name: host.name, by: caller.userId }, 'a host was fenced by an operator');
    return reply.code(202).send({ host: { id: host.id, name: host.name, fencedAt: host.fencedAt.toISOString() }, warning });
  });
}
