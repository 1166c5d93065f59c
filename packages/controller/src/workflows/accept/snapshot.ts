import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import { demandImageMetadata } from '../../quotas/demand-quota.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { insertServerImage } from './insert-server-image.ts';
import { lockForAction } from './lock-server.ts';

export type SnapshotRequest = {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of a backup: its type (daily, weekly, …) and how many of that type are kept. */
  readonly backup: { readonly type: string; readonly rotation: number } | null;
};

export type SnapshotInput = {
  readonly actionId: number;
  readonly imageId: string;
  readonly event: 'compute_snapshot_instance' | 'compute_backup_instance';
  readonly backup: SnapshotRequest['backup'];
};

/**
 * Accepts the making of an image of a server's disk: an image row that waits for its data, task_state, action and workflow in one transaction; returns the image's id. Throws what the API answers, nothing
 * changed: the refusals of the action table, SourceServiceDown, OverQuota for too many metadata items, NotImplemented for bare metal, and BadRequest for a server without a disk.
 */
export async function acceptSnapshot(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  request: SnapshotRequest,
): Promise<string> {
  return db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, request.backup === null ? 'create-image' : 'create-backup', serverId, caller);
    if (server.hypervisorType === 'ironic')
      throw new GodwitError('NotImplemented', 'No image is made of a bare metal instance in this version.');
    await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    await demandImageMetadata(tx, caller.projectId, Object.keys(request.metadata).length);
    const imageId = await insertServerImage(tx, caller, server, {
      name: request.name,
      metadata: request.metadata,
      backupType: request.backup?.type ?? null,
    });
    await tx.updateTable('server').set({ task_state: 'image_snapshot', updated_at: new Date() }).where('id', '=', serverId).execute();
    const actionId = await recordAction(tx, serverId, request.backup === null ? 'createImage' : 'createBackup', caller);
    const input: SnapshotInput = {
      actionId,
      imageId,
      event: request.backup === null ? 'compute_snapshot_instance' : 'compute_backup_instance',
      backup: request.backup,
    };
    await workflows.enqueue(tx, { kind: 'snapshot-server', subjectId: serverId, input });
    await tellServer(tx, serverId);
    return imageId;
  });
}
