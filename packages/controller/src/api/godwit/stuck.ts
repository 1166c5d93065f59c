import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { findProblems } from '../../stuck/find-problems.ts';
import { requireAdmin } from './require-admin.ts';

/**
 * `GET /stuck`: what does not go on by itself, each with what was observed and the safe action: migrations much older than usual, guests whose record and reality differ (every host is asked),
 * hosts not heard from, forgotten Verify Resize, leaked claims, work that fails again and again. Empty is good. For admins.
 */
export function stuckRoutes(app: FastifyInstance, { db, agents }: Pick<AppContext, 'db' | 'agents'>): void {
  app.get('/stuck', async (request) => {
    await requireAdmin(db, request);
    return { checkedAt: new Date().toISOString(), problems: await findProblems(db, agents) };
  });
}
