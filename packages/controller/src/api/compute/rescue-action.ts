import { randomBytes } from 'node:crypto';
import type { RescueArguments } from '@godwit/contract/schemas/compute/server-actions';
import { as, type ServerId } from '@godwit/domain/ids';
import type { Answer, ComputeRequest } from './route.ts';
import { visibleImage } from './server-create.ts';
import { serverFor } from './server-rows.ts';

/** `rescue`. The password is not put into the guest: it comes with an image or its key. */
export async function rescue(request: ComputeRequest<never>, args: RescueArguments): Promise<Answer> {
  const row = await serverFor(request, 'rescue');
  const named = args?.rescue_image_ref;
  const imageId = named === undefined ? null : await visibleImage(request, named);
  await request.context.operations.rescue(request.caller, as<ServerId>(row.id), imageId);
  return { status: 200, body: { adminPass: args?.adminPass ?? randomBytes(9).toString('base64url') } };
}
