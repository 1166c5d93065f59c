import { NewOperation, OperationCommandBody, PlanRequest } from '@godwit/contract/schemas/godwit/fleet-requests';
import { operationCommands, operationKinds, operationStates } from '@godwit/domain/drain-plan/fleet-operation';
import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { assertBody } from '../json-body.ts';
import { requireAdmin } from './require-admin.ts';

const PAGE = 200;
const states: readonly string[] = ['open', ...operationStates];

/** `POST /plans` and `/operations`: see docs/fleet-operations.md. For admins. */
export function operationRoutes(app: FastifyInstance, { db, fleet }: Pick<AppContext, 'db' | 'fleet'>): void {
  app.post('/plans', async (request) => {
    await requireAdmin(db, request);
    assertBody(PlanRequest, request.body);
    return { plan: await fleet.plan(request.body as PlanRequest) };
  });
  app.get('/balance', async (request) => {
    await requireAdmin(db, request);
    return { advice: await fleet.balance() };
  });
  app.post('/operations', async (request, reply) => {
    const caller = await requireAdmin(db, request);
    demandKind(request.body);
    assertBody(NewOperation, request.body);
    return reply.code(202).send({ operation: await fleet.begin(caller, request.body as NewOperation) });
  });
  app.get('/operations', async (request) => {
    await requireAdmin(db, request);
    const { kind, state, host, limit } = request.query as Readonly<Record<string, string | undefined>>;
    oneOf('kind', kind, operationKinds);
    oneOf('state', state, states);
    return { operations: await fleet.list({ kind, state, host, limit: Math.min(PAGE, Math.max(1, Number(limit ?? PAGE) || PAGE)) }) };
  });
  app.get('/operations/:id', async (request) => {
    await requireAdmin(db, request);
    return { operation: await fleet.show((request.params as { readonly id: string }).id) };
  });
  app.post('/operations/:id/hosts/:name/done', async (request, reply) => {
    await requireAdmin(db, request);
    if (request.body !== undefined && request.body !== null) assertBody(OperationCommandBody, request.body);
    const { id, name } = request.params as { readonly id: string; readonly name: string };
    return reply.code(202).send({ operation: await fleet.hostDone(id, name) });
  });
  for (const command of operationCommands)
    app.post(`/operations/:id/${command}`, async (request, reply) => {
      const caller = await requireAdmin(db, request);
      if (request.body !== undefined && request.body !== null) assertBody(OperationCommandBody, request.body);
      const { id } = request.params as { readonly id: string };
      return reply.code(202).send({ operation: await fleet.command(caller, id, command) });
    });
}

/** Before the whole schema: of a union it can only say that nothing fits. */
function demandKind(body: unknown): void {
  const kind = typeof body === 'object' && body !== null ? (body as { readonly kind?: unknown }).kind : undefined;
  if (typeof kind !== 'string' || !(operationKinds as readonly string[]).includes(kind))
    throw new GodwitError('SchemaViolation', `"kind" is one of ${operationKinds.join(', ')}.`);
}

function oneOf(key: string, value: string | undefined, known: readonly string[]): void {
  if (value !== undefined && !known.includes(value))
    throw new GodwitError('BadRequest', `"${key}" is one of ${known.join(', ')}, not "${value.slice(0, 60)}".`);
}
