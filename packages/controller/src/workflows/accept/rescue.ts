import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import type { RescueColumn } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import type { ReplacedDisks } from '../server/remove-replaced-disks.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { imageFor } from './create-servers.ts';
import { lockForAction } from './lock-server.ts';

export type RescueInput = {
  readonly actionId: number;
  readonly way: 'in' | 'out';
  /** What it boots from; on the way out it is its own disk. */
  readonly from: RescueColumn | null;
  /** Disks that have been taken out, once they are. */
  readonly replaced?: ReplacedDisks;
};

/**
 * Accepts a rescue: the server is to boot from a disk of `imageId` (null: of the image that it was made from), with its own as the second. Throws what the API answers, nothing changed: the refusals of the
 * action table, SourceServiceDown, BadRequest for an image that it cannot boot from or a server without a disk, NotImplemented for bare metal.
 */
export async function acceptRescue(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  imageId: string | null,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'rescue', serverId, caller);
    if (server.hypervisorType === 'ironic')
      throw new GodwitError('NotImplemented', 'Bare metal instances are not rescued in this version.');
    await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    const image = imageId ?? server.image_id;
    const disk = await tx
      .selectFrom('disk')
      .select('id')
      .where('server_id', '=', serverId)
      .where('device_index', '=', 0)
      .executeTakeFirst();
    if (disk === undefined || image === null)
      throw new GodwitError('BadRequest', `Instance ${serverId} cannot be rescued: it has no disk, or there is no image to boot from.`);
    const { directBoot } = await imageFor(tx, image, server.flavor);
    await tx.updateTable('server').set({ task_state: 'rescuing', updated_at: new Date() }).where('id', '=', serverId).execute();
    const actionId = await recordAction(tx, serverId, 'rescue', caller);
    const input: RescueInput = { actionId, way: 'in', from: { imageId: image, directBoot } };
    await workflows.enqueue(tx, { kind: 'rescue-server', subjectId: serverId, input });
    await tellServer(tx, serverId);
  });
}

/** Accepts the end of a rescue: the server boots from its own disk again. Throws the refusals of the action table and SourceServiceDown. */
export async function acceptUnrescue(db: Db, workflows: Workflows, caller: Caller, serverId: ServerId): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'unrescue', serverId, caller);
    await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    await tx.updateTable('server').set({ task_state: 'unrescuing', updated_at: new Date() }).where('id', '=', serverId).execute();
    const input: RescueInput = { actionId: await recordAction(tx, serverId, 'unrescue', caller), way: 'out', from: null };
    await workflows.enqueue(tx, { kind: 'rescue-server', subjectId: serverId, input });
    await tellServer(tx, serverId);
  });
}
