import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { examineCloud } from '../../doctor/examine-cloud.ts';
import { collectBundle } from './collect-bundle.ts';
import { requireAdmin } from './require-admin.ts';

/**
 * `GET /doctor`: everything that was looked at, each with a level and, where it is not well, a remedy. `GET /bundles/{id}`: all that is known of a migration or of a request, secrets removed. For
 * admins.
 */
export function doctorRoutes(app: FastifyInstance, context: Pick<AppContext, 'db' | 'agents' | 'config'>): void {
  app.get('/doctor', async (request) => {
    await requireAdmin(context.db, request);
    return { checkedAt: new Date().toISOString(), findings: await examineCloud(context) };
  });
  app.get('/bundles/:id', async (request) => {
    await requireAdmin(context.db, request);
    return { bundle: await collectBundle(context, (request.params as { id: string }).id) };
  });
}
