import type { UnshelveArguments } from '@godwit/contract/schemas/compute/server-actions';
import { as, type ServerId } from '@godwit/domain/ids';
import { assertAllowed } from '../../auth/policy.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

/** `unshelve`: from 2.77 on the owner may say which zone it goes to, from 2.91 an admin which host, and `null` takes it out of its zone. Below, whatever stands behind it is ignored. */
export async function unshelve(request: ComputeRequest<never>, args: UnshelveArguments): Promise<Answer> {
  const asked = request.minor >= 77 ? (args ?? {}) : {};
  if (asked.host !== undefined) {
    await serverFor(request, 'show');
    assertAllowed(request.caller, 'os-shelve:unshelve_to_host');
  }
  const server = await serverFor(request, 'unshelve');
  await request.context.operations.unshelve(request.caller, as<ServerId>(server.id), {
    ...(asked.availability_zone === undefined ? {} : { zone: asked.availability_zone }),
    host: asked.host ?? null,
  });
  return { status: 202 };
}
