import { randomBytes } from 'node:crypto';
import type { RebuildArguments } from '@godwit/contract/schemas/compute/server-requests';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { truth } from './boolean.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { assertKeypair, visibleImage, whatOnlyTheApiKeeps } from './server-create.ts';
import { serverFor, serverRows } from './server-rows.ts';
import { serverView } from './server-view.ts';

/** `rebuild`: the answer shows the server as it will be. */
export async function rebuild(request: ComputeRequest<never>, args: RebuildArguments): Promise<Answer> {
  const { minor, context, caller } = request;
  const row = await serverFor(request, 'rebuild');
  const refuse = (sentence: string): never => {
    throw new GodwitError('BadRequest', sentence);
  };
  if ((args.personality ?? []).length > 0) refuse('Personality files are not offered by this cloud: use user_data.');
  if ((args.trusted_image_certificates ?? []).length > 0) refuse('Image certificate validation is not offered by this cloud.');
  if (truth(args.preserve_ephemeral)) refuse('The current driver does not support preserving ephemeral partitions.');
  const imageId = await visibleImage(request, args.imageRef);
  await assertKeypair(request, args.key_name);
  const { name, description, key_name, user_data, metadata, 'OS-DCF:diskConfig': diskConfig } = args;
  await context.operations.rebuild(caller, as<ServerId>(row.id), {
    imageId,
    metadata: metadata ?? null,
    columns: {
      ...whatOnlyTheApiKeeps(args),
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(key_name === undefined ? {} : { key_name }),
      ...(user_data === undefined ? {} : { user_data }),
      ...(diskConfig === undefined ? {} : { disk_config: diskConfig }),
    },
  });
  const changed = await serverRows(context.db).where('server.id', '=', row.id).executeTakeFirstOrThrow();
  return {
    status: 202,
    headers: { location: `${request.base}/servers/${row.id}` },
    body: {
      server: {
        ...serverView(request, { ...changed, image_id: imageId }, 'update'),
        // Nothing puts it into the guest: a password comes with an image or its key.
        adminPass: args.adminPass ?? randomBytes(9).toString('base64url'),
        ...(minor >= 54 ? { key_name: changed.key_name } : {}),
        ...(minor >= 57 ? { user_data: changed.user_data } : {}),
      },
    },
  };
}
