import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState } from '@godwit/domain/server';
import type { ShelvedColumn } from '../../store/core-tables.ts';
import type { ShelveInput } from '../accept/shelve.ts';
import { readCustody, takeCharge } from '../custody/custody-store.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { comeToRest } from './come-to-rest.ts';
import { copyToImage, forgetImage } from './copy-to-image.ts';
import { readServer, type ServerRecord, writeServer } from './server-record.ts';
import { leaveDiskToImage, removeLeftDisks } from './shelved-disk.ts';

const SHELVE = 'compute_shelve_instance';
const OFFLOAD = 'compute_shelve_offload_instance';
const PATIENCE_MS = 60_000;
/** How long a guest may take to shut itself down before it is powered off: the compute API's usual minute. */
const SHUTDOWN_MS = 60_000;
/** A host that does not delete a disk for so long is left with it; the server stays shelved there. */
const REMOVAL_PATIENCE_MS = 3_000;
const RETRY_MS = 500;

/**
 * Shuts a guest down and keeps its disk as an image: shelving → shelving_image_uploading → SHELVED; then, if that is wanted, gives up disk, claim and host: shelving_offloading → SHELVED_OFFLOADED. Until the
 * image is whole nothing of the disk is touched, and a failure leaves the server as it is, stopped at most. Until the disk is gone the server stays SHELVED on its host.
 */
export async function shelveServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const input = run.input as unknown as ShelveInput;
  if (!(await takeCharge(db, serverId, run.fence, ['shelving', 'shelving_image_uploading', 'shelving_offloading']))) return;
  const { task_state, host_id } = await readServer(db, serverId);
  if (host_id === null) throw new Error(`server ${serverId} has no host`);
  if (task_state !== 'shelving_offloading') {
    await beginEvent(db, input.actionId, SHELVE, host_id);
    if (task_state === 'shelving') {
      const unrest = await comeToRest(context, run, serverId, PATIENCE_MS, SHUTDOWN_MS);
      if (unrest !== null) return giveUp(context, run, serverId, input, unrest);
      await context.faultPoint('shelve:stopped');
      await db
        .transaction()
        .execute((tx) => writeServer(tx, run, serverId, { task_state: 'shelving_image_uploading', power_state: powerState.shutdown }));
    }
    const error = await copyToImage(context, run, serverId, input.imageId);
    if (error !== null) return giveUp(context, run, serverId, input, error);
    await context.faultPoint('shelve:copied');
    await shelved(context, run, serverId, input);
    await context.faultPoint('shelve:shelved');
  }
  if (input.offloads) await offload(context, run, serverId, input, as<HostId>(host_id));
}

async function shelved(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, input: ShelveInput): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const kept: ShelvedColumn = { ...noteOf(await readServer(tx, serverId)), at: new Date().toISOString() };
    await writeServer(tx, run, serverId, {
      vm_state: 'shelved',
      power_state: powerState.shutdown,
      task_state: input.offloads ? 'shelving_offloading' : null,
      shelved: JSON.stringify(kept),
      fault: null,
    });
    await finishEvent(tx, input.actionId, SHELVE, { ok: true });
  });
}

/** Gives up what the server has on its host. The image is the disk from the moment that it must be: a disk that is half deleted is never started again. */
async function offload(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, input: ShelveInput, hostId: HostId): Promise<void> {
  const { db } = context;
  await beginEvent(db, input.actionId, OFFLOAD, hostId);
  const image = await db.selectFrom('image').select(['status', 'deleted_at']).where('id', '=', input.imageId).executeTakeFirst();
  if (image?.status !== 'active' || image.deleted_at !== null)
    return staysShelved(context, run, serverId, input, 'The image of its disk is not active: the disk is kept.');
  const unrest = await comeToRest(context, run, serverId, PATIENCE_MS, 0);
  if (unrest !== null) return staysShelved(context, run, serverId, input, unrest);
  const left = await db.transaction().execute(async (tx) => {
    const note = await leaveDiskToImage(tx, serverId, noteOf(await readServer(tx, serverId)));
    await writeServer(tx, run, serverId, { shelved: JSON.stringify(note) });
    return note;
  });
  await context.faultPoint('offload:left');
  for (const deadline = Date.now() + REMOVAL_PATIENCE_MS; !(await removeLeftDisks(context, run, serverId, hostId, left)); ) {
    checkpoint(run);
    if (Date.now() > deadline) return staysShelved(context, run, serverId, input, 'Its host has not deleted its disk.');
    await run.pause(RETRY_MS);
  }
  await context.faultPoint('offload:removed');
  await db.transaction().execute(async (tx) => {
    await tx.deleteFrom('disk').where('server_id', '=', serverId).execute();
    await tx.deleteFrom('allocation').where('server_id', '=', serverId).execute();
    await tx.updateTable('port').set({ host_id: null, status: 'DOWN', updated_at: new Date() }).where('server_id', '=', serverId).execute();
    await writeServer(tx, run, serverId, {
      host_id: null,
      vm_state: 'shelved_offloaded',
      power_state: powerState.shutdown,
      task_state: null,
      shelved: JSON.stringify({ ...left, replaced: [], failedAt: null }),
    });
    await finishEvent(tx, input.actionId, OFFLOAD, { ok: true });
  });
}

async function staysShelved(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  input: ShelveInput,
  why: string,
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const note: ShelvedColumn = { ...noteOf(await readServer(tx, serverId)), failedAt: new Date().toISOString() };
    await writeServer(tx, run, serverId, { task_state: null, shelved: JSON.stringify(note) });
    await finishEvent(tx, input.actionId, OFFLOAD, { ok: false, details: why });
  });
}

/** The disk has not been touched: the server is what its host shows. */
async function giveUp(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, input: ShelveInput, why: string): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const { holder, operation } = await readCustody(tx, serverId);
    const off = holder.kind === 'nowhere' && operation === null;
    await writeServer(tx, run, serverId, {
      task_state: null,
      shelved: null,
      ...(off ? { vm_state: 'stopped', power_state: powerState.shutdown } : {}),
    });
    await forgetImage(tx, input.imageId);
    await finishEvent(tx, input.actionId, SHELVE, { ok: false, details: why });
  });
}

function noteOf({ id, shelved: note }: ServerRecord): ShelvedColumn {
  if (note === null) throw new Error(`server ${id} is being shelved, and no image is noted`);
  return note;
}
