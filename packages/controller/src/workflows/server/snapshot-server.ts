import { as, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { SnapshotInput } from '../accept/snapshot.ts';
import { takeCharge } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { copyToImage, forgetImage } from './copy-to-image.ts';
import { readServer, writeServer } from './server-record.ts';

/**
 * Copies a server's disk into the image store: image_snapshot → null. The server runs, or stays off, as it was. Ends with the image active, or deleted and the action in error with the cause. A run that begins
 * again begins the copy again.
 */
export async function snapshotServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const input = run.input as unknown as SnapshotInput;
  if (!(await takeCharge(db, serverId, run.fence, ['image_snapshot', 'image_uploading']))) {
    await forgetImage(db, input.imageId);
    return;
  }
  const { host_id } = await readServer(db, serverId);
  await beginEvent(db, input.actionId, input.event, host_id);
  const error = await copyToImage(context, run, serverId, input.imageId);
  if (error === null) await context.faultPoint('snapshot:copied');
  if (error === null && input.backup !== null) await rotate(context, serverId, input.backup);
  await db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, { task_state: null });
    await finishEvent(tx, input.actionId, input.event, error === null ? { ok: true } : { ok: false, details: error });
  });
}

/** Of the server's backups of this type the newest are kept. */
async function rotate(context: WorkflowContext, serverId: ServerId, backup: NonNullable<SnapshotInput['backup']>): Promise<void> {
  await sql`update image set status = 'deleted', deleted_at = now(), updated_at = now() where id in (
    select id from image where deleted_at is null and status = 'active' and not protected and properties ->> 'image_type' = 'backup'
      and properties ->> 'instance_uuid' = ${serverId} and properties ->> 'backup_type' = ${backup.type}
    order by created_at desc, id desc offset ${backup.rotation})`.execute(context.db);
}
