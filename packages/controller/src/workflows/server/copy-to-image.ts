import { GodwitError } from '@godwit/domain/errors';
import { as, type Epoch, type HostId, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { agentFailure } from '../../agents/agent-error.ts';
import { uploadImage } from '../../images/upload-image.ts';
import type { Db } from '../../store/database.ts';
import { readCustody } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, Fenced, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { readServer } from './server-record.ts';
import { wireGuest } from './wire-guest.ts';

/**
 * Copies a server's disk, as it is at one moment, into an image that waits for its data. Returns null when the image is active, else why it is not: then the image is deleted. Throws Fenced when another run is in charge of the server. A run that begins again begins
 * the copy again.
 */
export async function copyToImage(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, imageId: string): Promise<string | null> {
  try {
    await copy(context, run, serverId, imageId);
    return null;
  } catch (caught) {
    checkpoint(run);
    // What broke the stream is the cause, not that it broke.
    const cause = caught instanceof GodwitError && caught.code === 'ImageTruncated' && caught.cause !== undefined ? caught.cause : caught;
    await context.db.transaction().execute(async (tx) => {
      // What ended this copy may be a run that has begun after it: the image is that one's.
      await demandCharge(tx, run, serverId);
      await forgetImage(tx, imageId);
    });
    return cause instanceof GodwitError ? cause.message : agentFailure(cause).message;
  }
}

/** Locks the server. Throws Fenced when another run is in charge of it. */
async function demandCharge(tx: Db, run: WorkflowRun, serverId: ServerId): Promise<void> {
  if ((await readCustody(tx, serverId, true)).fence !== run.fence) throw new Fenced(`server ${serverId}`);
}

async function copy(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, imageId: string): Promise<void> {
  const { db } = context;
  const { imageDir } = context.config;
  if (imageDir === undefined) throw new GodwitError('Internal', 'this controller has no image store');
  const server = await readServer(db, serverId);
  const { holder, operation, epoch } = await readCustody(db, serverId);
  if (server.host_id === null) throw new GodwitError('InvalidState', `Instance ${serverId} has no host.`);
  if (operation !== null) throw new GodwitError('CustodyRefused', 'Whether the server runs is not known.');
  const [host, under]: [HostId, Epoch] = holder.kind !== 'nowhere' ? [holder.hostId, holder.epoch] : [as<HostId>(server.host_id), epoch];
  const guest = await wireGuest(db, serverId);
  const disk = guest.disks[0];
  if (disk === undefined) throw new GodwitError('NotFound', `Instance ${serverId} has no disk.`);
  const client = await context.agents.client(host);
  const custody = wireCustody(serverId, under, run.fence);
  await patiently(run, async () => {
    const isWhole = await db.transaction().execute(async (tx) => {
      await demandCharge(tx, run, serverId);
      const image = await tx.selectFrom('image').select(['status', 'deleted_at']).where('id', '=', imageId).forUpdate().executeTakeFirst();
      // A run before has ended the copy, and not yet said so.
      if (image?.status === 'active' && image.deleted_at === null) return true;
      // Nobody else may write it: what says `saving` is a run that has ended, or is about to be told so.
      await tx
        .updateTable('image')
        .set({ status: 'queued', upload_started_at: null })
        .where('id', '=', imageId)
        .where('status', '=', 'saving')
        .execute();
      return false;
    });
    if (isWhole) return;
    const chunks = () => client.snapshotDisk({ custody, guest, diskId: disk.diskId, requestId: run.id }, { signal: run.signal });
    await uploadImage({ db, imageDir, imageId, source: whole(chunks), announcedBytes: null });
  });
}

/** A run before may have been cut off a moment ago, and be at it still: its host notices, and so does the image. */
const PATIENCE_MS = 20_000;
const RETRY_MS = 500;

async function patiently<T>(run: WorkflowRun, work: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    try {
      return await work();
    } catch (error) {
      checkpoint(run);
      const isBusy =
        error instanceof GodwitError &&
        (error.code === 'Conflict' || (error.cause !== undefined && agentFailure(error.cause).code === 'Conflict'));
      if (!isBusy || Date.now() > deadline) throw error;
      await run.pause(RETRY_MS);
    }
  }
}

const holeBytes = 1_048_576;

/**
 * The file with its zeros again. It is asked for when it is read, not before: a short answer that has come and gone before anybody reads it is taken for one that was cut off (Node's readers of an HTTP/2
 * stream go by whether it is closed, not by what they still hold of it). Throws ImageTruncated when the stream ends before the file does.
 */
async function* whole(
  chunks: () => AsyncIterable<{ readonly offset: bigint; readonly data: Uint8Array; readonly fileBytes: bigint }>,
): AsyncIterable<Buffer> {
  let at = 0;
  let fileBytes: number | null = null;
  for await (const chunk of chunks()) {
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
export async function forgetImage(db: Db, imageId: string): Promise<void> {
  await db
    .updateTable('image')
    .set({ status: 'deleted', deleted_at: sql`now()`, updated_at: sql`now()` })
    .where('id', '=', imageId)
    .where('status', 'in', ['queued', 'saving'])
    .execute();
}
