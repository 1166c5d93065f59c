import type { CreateBackupArguments, CreateImageArguments } from '@godwit/contract/schemas/compute/server-requests';
import { as, type ServerId } from '@godwit/domain/ids';
import type { SnapshotRequest } from '../../workflows/accept/snapshot.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

/** `createImage`: the image exists at once, without data until the copy has ended. */
export async function createImage(request: ComputeRequest<never>, { name, metadata = {} }: CreateImageArguments): Promise<Answer> {
  const row = await serverFor(request, 'create-image');
  return accepted(request, row.id, { name, metadata, backup: null });
}

/** `createBackup`: of this type so many are kept; with 0 not even this one, and it is not named. */
export async function createBackup(
  request: ComputeRequest<never>,
  { name, metadata = {}, backup_type: type, rotation }: CreateBackupArguments,
): Promise<Answer> {
  const row = await serverFor(request, 'create-backup');
  const answer = await accepted(request, row.id, { name, metadata, backup: { type, rotation: Number(rotation) } });
  return Number(rotation) === 0 && request.minor < 45 ? { status: 202 } : answer;
}

async function accepted(request: ComputeRequest<never>, serverId: string, snapshot: SnapshotRequest): Promise<Answer> {
  const id = await request.context.operations.snapshot(request.caller, as<ServerId>(serverId), snapshot);
  if (request.minor >= 45) return { status: 202, body: { image_id: id } };
  const { origin } = new URL(request.base);
  return { status: 202, headers: { location: `${origin}/image/v2/images/${id}` } };
}
