import { GodwitError } from '@godwit/domain/errors';
import { as, type Epoch, type HostId, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { agentFailure } from '../../agents/agent-error.ts';
import { uploadImage } from '../../images/upload-image.ts';
import type { SnapshotInput } from '../accept/snapshot.ts';
import { readCustody, takeCharge } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { readServer, writeServer } from './server-record.ts';
import { wireGuest } from './wire-guest.ts';

/**
 * Copies a server's disk into the image store: image_snapshot → null. The server runs, or stays off, as it was. Ends with the image active, or deleted and the action in error with the cause. A run that begins
 * again begins the copy again.
 */
export async function snapshotServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const input = run.input as unknown as SnapshotInput;
  if (!(await takeCharge(db, serverId, run.fence, ['image_snapshot', 'image_uploading']))) {
    await forgetImage(context, input.imageId);
    return;
  }
  const { host_id } = await readServer(db, serverId);
  await beginEvent(db, input.actionId, input.event, host_id);
  let error: string | null = null;
  try {
    await copy(context, run, serverId, input.imageId);
    await context.faultPoint('snapshot:copied');
  } catch (caught) {
    checkpoint(run);
    // What broke the stream is the cause, not that it broke.
    const cause = caught instanceof GodwitError && caught.code === 'ImageTruncated' && caught.cause !== undefined ? caught.cause : caught;
    error = cause instanceof GodwitError ? cause.message : agentFailure(cause).message;
    await forgetImage(context, input.imageId);
  }
  if (error === null && input.backup !== null) await rotate(context, serverId, input.backup);
  await db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, { task_state: null });
    await finishEvent(tx, input.actionId, input.event, error === null ? { ok: true } : { ok: false, details: error });
  });
}

async function copy(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, imageId: string): Promise<void> {
  const { db } = context;
  const { imageDir } = context.config;
  if (imageDir === undefined) throw new GodwitError('Internal', 'this controller has no image store');
  const image = await db.selectFrom('image').select(['status', 'deleted_at']).where('id', '=', imageId).executeTakeFirst();
  // A run before has ended the copy, and not yet said so.
  if (image?.status === 'active' && image.deleted_at === null) return;
  // Nobody else writes it: what says `saving` is a run that has ended.
  await db
    .updateTable('image')
    .set({ status: 'queued', upload_started_at: null })
    .where('id', '=', imageId)
    .where('status', '=', 'saving')
    .execute();
  const server = await readServer(db, serverId);
  const { holder, operation, epoch } = await readCustody(db, serverId);
  if (server.host_id === null) throw new GodwitError('InvalidState', `Instance ${serverId} has no host.`);
  if (operation !== null) throw new GodwitError('CustodyRefused', 'Whether the server runs is not known.');
  const [host, under]: [HostId, Epoch] = holder.kind === 'host' ? [holder.hostId, holder.epoch] : [as<HostId>(server.host_id), epoch];
  const guest = await wireGuest(db, serverId);
  const disk = guest.disks[0];
  if (disk === undefined) throw new GodwitError('NotFound', `Instance ${serverId} has no disk.`);
  const client = await context.agents.client(host);
  const custody = wireCustody(serverId, under, run.fence);
  await patiently(run, () => {
    const chunks = client.snapshotDisk({ custody, guest, diskId: disk.diskId, requestId: run.id }, { signal: run.signal });
    return uploadImage({ db, imageDir, imageId, source: whole(chunks), announcedBytes: null });
  });
}

/** A run before may have been cut off a moment ago: its host notices, and lets the next one in. */
const PATIENCE_MS = 20_000;
const RETRY_MS = 500;

async function patiently<T>(run: WorkflowRun, work: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    try {
      return await work();
    } catch (error) {
      checkpoint(run);
      const isBusy = error instanceof GodwitError && error.cause !== undefined && agentFailure(error.cause).code === 'Conflict';
      if (!isBusy || Date.now() > deadline) throw error;
      await run.pause(RETRY_MS);
    }
  }
}

const holeBytes = 1_048_576;

/** The file with its zeros again. Throws ImageTruncated when the stream ends before the file does. */
async function* whole(
  chunks: AsyncIterable<{ readonly offset: bigint; readonly data: Uint8Array; readonly fileBytes: bigint }>,
): AsyncIterable<Buffer> {
  let at = 0;
  let fileBytes: number | null = null;
  for await (const chunk of chunks) {
    const offset = Number(chunk.offset);
    const until = chunk.data.length === 0 ? Number(chunk.fileBytes) : offset;
    for (; at < until; at += Math.min(holeBytes, until - at)) yield Buffer.alloc(Math.min(holeBytes, until - at));
    if (chunk.data.length === 0) fileBytes = Number(chunk.fileBytes);
    else yield Buffer.from(chunk.data.buffer, chunk.data.byteOffset, chunk.data.byteLength);
    at += chunk.data.length;
  }
  if (fileBytes === null || at !== fileBytes) throw new GodwitError('ImageTruncated', 'The stream of the disk ended early.');
}

/** An image that never became one. */
async function forgetImage(context: WorkflowContext, imageId: string): Promise<void> {
  await context.db
    .updateTable('image')
    .set({ status: 'deleted', deleted_at: sql`now()`, updated_at: sql`now()` })
    .where('id', '=', imageId)
    .where('status', 'in', ['queued', 'saving'])
    .execute();
}

/** Of the server's backups of this type the newest are kept. */
async function rotate(context: WorkflowContext, serverId: ServerId, backup: NonNullable<SnapshotInput['backup']>): Promise<void> {
  await sql`update image set status = 'deleted', deleted_at = now(), updated_at = now() where id in (
    select id from image where deleted_at is null and status = 'active' and not protected and properties ->> 'image_type' = 'backup'
      and properties ->> 'instance_uuid' = ${serverId} and properties ->> 'backup_type' = ${backup.type}
    order by created_at desc, id desc offset ${backup.rotation})`.execute(context.db);
}
