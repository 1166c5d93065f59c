import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { DiskSchema, type Guest, GuestSchema } from '@godwit/contract/gen/guest_pb';
import type { HostId, ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { ShelvedColumn } from '../../store/core-tables.ts';
import type { Tx } from '../../store/database.ts';
import { readCustody } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { destroyAt } from './remove-disks.ts';
import { wireGuest } from './wire-guest.ts';

/**
 * From now on the server's disk is the one in the image: its row names a new disk that the next start makes from it, and the old one's files are noted for deletion. The image must be active. Returns the
 * note, for the server's column; repeating it changes nothing.
 */
export async function leaveDiskToImage(tx: Tx, serverId: ServerId, shelved: ShelvedColumn): Promise<ShelvedColumn> {
  const disks = await tx
    .selectFrom('disk')
    .selectAll()
    .where('server_id', '=', serverId)
    .where((eb) => eb.or([eb('fresh', '=', false), eb('image_id', 'is distinct from', shelved.imageId)]))
    .execute();
  for (const disk of disks) {
    await tx.deleteFrom('disk').where('id', '=', disk.id).execute();
    await tx
      .insertInto('disk')
      .values({ ...disk, id: randomUUID(), format: 'qcow2', image_id: shelved.imageId, fresh: true })
      .execute();
  }
  const left = disks.map(({ id, pool, format, size_bytes }) => ({ id, pool, format, sizeBytes: size_bytes }));
  return { ...shelved, replaced: [...shelved.replaced, ...left] };
}

/**
 * Deletes the files of disks that the server's rows do not name any more. Only while nothing runs: the epoch under which it is done would end a guest that has been started since. False when the host did not
 * do it.
 */
export async function removeLeftDisks(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  hostId: HostId,
  { replaced }: ShelvedColumn,
): Promise<boolean> {
  if (replaced.length === 0) return true;
  const { holder, operation } = await readCustody(context.db, serverId);
  if (holder.kind !== 'nowhere' || operation !== null) return false;
  const guest: Guest = create(GuestSchema, {
    ...(await wireGuest(context.db, serverId)),
    disks: replaced.map(({ id, pool, format, sizeBytes }) =>
      create(DiskSchema, { diskId: id, pool, format, sizeBytes: BigInt(sizeBytes) }),
    ),
  });
  return destroyAt(context, run, serverId, hostId, guest);
}

/** Deletes the image that a shelved server's disk was kept in. Its data goes when no disk stands on it any more. */
export async function forgetShelvedImage(tx: Tx, shelved: ShelvedColumn | null): Promise<void> {
  if (shelved === null) return;
  await tx
    .updateTable('image')
    .set({ status: 'deleted', deleted_at: sql`now()`, updated_at: sql`now()` })
    .where('id', '=', shelved.imageId)
    .where('deleted_at', 'is', null)
    .execute();
}
