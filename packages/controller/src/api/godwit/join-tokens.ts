import { NewJoinToken } from '@godwit/contract/schemas/godwit/join-tokens';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { createJoinToken, JOIN_TOKEN_LIFETIME_MS } from '../../auth/join-token.ts';
import { assertBody } from '../json-body.ts';
import { requireAdmin } from './require-admin.ts';

/**
 * `POST /join-tokens` with `{"host": "node9"}`: the token with which that host, and no other, may join within a day, or come back after it lost its key. It works once. `agentListen`: where the host's agent is to
 * connect. For admins; 400 for what is no host name.
 */
export function joinTokenRoutes(app: FastifyInstance, { db, config }: Pick<AppContext, 'db' | 'config'>): void {
  app.post('/join-tokens', async (request, reply) => {
    const caller = await requireAdmin(db, request);
    assertBody(NewJoinToken, request.body);
    const { host } = request.body as { readonly host: string };
    const token = await createJoinToken(db, host);
    request.log.info({ host, by: caller.userId }, 'a join token was made');
    const expiresAt = new Date(Date.now() + JOIN_TOKEN_LIFETIME_MS).toISOString();
    const { names, port } = config.agentListen;
    return reply.code(201).send({ joinToken: { host, token, expiresAt, controllerUrl: `https://${names[0] ?? ''}:${port}` } });
  });
}
