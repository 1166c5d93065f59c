import { GodwitError } from '@godwit/domain/errors';
import type { FastifyRequest } from 'fastify';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import { requireCaller } from '../request-context.ts';

/** The caller, who must be an admin. Throws Unauthorized or Forbidden. */
export async function requireAdmin(db: Db, request: FastifyRequest): Promise<Caller> {
  const caller = await requireCaller(db, request);
  if (!caller.isAdmin) throw new GodwitError('Forbidden', "Policy doesn't allow this to be performed.");
  return caller;
}
