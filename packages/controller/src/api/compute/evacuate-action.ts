import { randomBytes } from 'node:crypto';
import type { EvacuateArguments } from '@godwit/contract/schemas/compute/server-actions';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { truth } from './boolean.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

/** `evacuate`: answers 200; below 2.14 with a password, which is the caller's own if one was given. A host that is not there is a 404 here, unlike in a migration. */
export async function evacuate(request: ComputeRequest<never>, args: EvacuateArguments): Promise<Answer> {
  const server = await serverFor(request, 'evacuate');
  const host = args.host ?? null;
  if (truth(args.force) && host === null) throw new GodwitError('BadRequest', "Can't force to a non-provided destination");
  try {
    await request.context.operations.evacuate(request.caller, as<ServerId>(server.id), { host });
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'HostNotFound')
      throw new GodwitError('NotFound', `Compute host ${host ?? ''} not found.`, {}, { cause: error });
    throw error;
  }
  return request.minor < 14
    ? { status: 200, body: { adminPass: args.adminPass ?? randomBytes(9).toString('base64url') } }
    : { status: 200 };
}
