import { GuestState } from '@godwit/contract/gen/guest_pb';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState } from '@godwit/domain/server';
import { agentFailure } from '../../agents/agent-error.ts';
import { applyFences } from '../custody/apply-fences.ts';
import { readCustody, stepCustody, takeCharge } from '../custody/custody-store.ts';
import { clearRemains, settle } from '../custody/settle.ts';
import { noteGuest } from '../facts/note-facts.ts';
import { clearCopiedDisks } from '../live-migrate/clear-copied-disks.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { recordFact } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { serverFault } from './fault.ts';
import { memoryGone } from './memory-gone.ts';
import { recoverServer } from './recover-server.ts';
import { answers, removeDisks } from './remove-disks.ts';
import { readServer, writeServer } from './server-record.ts';

/** How long to leave a busy server alone. */
const BUSY_MS = 2_000;

/**
 * Finishes what an operation had to leave when a host did not answer: open custody operations, superseded copies, disks of deleted servers. Runs when that host returns, and until one that answers has done its part; starts nothing.
 * Waits while another operation is under way.
 */
export async function settleServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  let deleted: boolean;
  for (;;) {
    deleted = (await readServer(db, serverId)).deleted_at !== null;
    if (await takeCharge(db, serverId, run.fence, [null], deleted)) break;
    // An operation is under way; what it leaves is looked at when it has ended.
    await run.pause(BUSY_MS);
    checkpoint(run);
  }
  await withoutFenced(context, run, serverId);
  let row = await readCustody(db, serverId);
  if (row.behind || row.operation?.kind === 'recovery') {
    if (!(await recoverServer(context, run, serverId))) return;
    row = await readCustody(db, serverId);
  }
  if (row.operation?.kind === 'move' || row.operation?.kind === 'start') {
    const forward = row.operation.kind === 'move' && row.operation.step === 'releasing';
    if (!forward) await db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'abort' }]));
  }
  const settled = await settle(context, run, serverId, { deleteDisks: false });
  let disksLeft = false;
  row = settled.row;
  if (settled.kind === 'settled' && deleted) {
    if (row.holder.kind !== 'nowhere') {
      await db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'destroy' }]));
      await settle(context, run, serverId, { deleteDisks: false });
    }
    // First the copies elsewhere: they are named by the same rows.
    const copiesGone = await clearCopiedDisks(context, run, serverId);
    disksLeft = !(await removeDisks(context, run, serverId));
    if (!disksLeft && copiesGone) await db.deleteFrom('disk').where('server_id', '=', serverId).execute();
  } else if (settled.kind === 'settled' && row.holder.kind !== 'nowhere') await showGuest(context, run, serverId, row.holder.hostId);
  await withoutMemory(context, run, serverId);
  const left = await clearRemains(context, run, serverId);
  if (!deleted || settled.kind !== 'settled') await clearCopiedDisks(context, run, serverId);
  // It is there and will not return: a full disk, for one, keeps it from writing down that it drops its copy. This is run again.
  const failing = left.find(({ failure }) => failure.kind === 'failed');
  if (failing !== undefined) throw new Error(`host ${failing.hostId} could not destroy what it has of server ${serverId} yet`);
  // Likewise one that has not removed the disks of a deleted server: those of a cluster may take minutes.
  if (disksLeft && (await answers(db, (await readServer(db, serverId)).host_id)))
    throw new Error(`the disks of server ${serverId}, which is deleted, are not removed yet`);
}

/** Settles a server without the hosts that an operator has fenced: a guest that was there runs nowhere now. */
async function withoutFenced(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<void> {
  const { db } = context;
  const before = await readCustody(db, serverId);
  const fenced = await applyFences(context, run, serverId);
  const { holder } = before;
  const lost = fenced.find(({ id }) => holder.kind !== 'nowhere' && holder.hostId === id);
  if (lost === undefined || (await readCustody(db, serverId)).holder.kind !== 'nowhere') return;
  const server = await readServer(db, serverId);
  if (server.deleted_at !== null) return;
  const why = `The host ${lost.name} was fenced: the guest does not run. It can be started again from its disk, without what it had not written there.`;
  await db.transaction().execute(async (tx) => {
    // It is to be started again from its own disk, perhaps elsewhere: the one that it was rescued from goes.
    if (server.rescue !== null) await tx.deleteFrom('disk').where('server_id', '=', serverId).where('device_index', '<', 0).execute();
    await writeServer(tx, run, serverId, {
      rescue: null,
      // One that waits to be confirmed or reverted goes on waiting.
      ...(server.vm_state === 'resized' ? {} : { vm_state: 'error', fault: serverFault(why) }),
      power_state: powerState.shutdown,
    });
    await recordFact(tx, server, 'stop', why);
  });
}

/** A memory that was to be destroyed, and whose host did not answer then, is gone: the server is off. */
async function withoutMemory({ db }: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const { holder, operation } = await readCustody(tx, serverId, true);
    const server = await readServer(tx, serverId);
    if (holder.kind !== 'nowhere' || operation !== null || server.vm_state !== 'suspended') return;
    await writeServer(tx, run, serverId, { vm_state: 'stopped', power_state: powerState.shutdown });
    await recordFact(tx, server, 'stop', memoryGone);
  });
}

/** What an operation left too early to see, or a start whose answer was never heard: the row says what the host shows. */
async function showGuest(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, host: HostId): Promise<void> {
  try {
    const client = await context.agents.client(host);
    const { bootId, guests } = await client.listGuests({}, { timeoutMs: 10_000, signal: run.signal });
    const guest = guests.find((one) => one.serverId === serverId);
    if (guest === undefined || guest.state === GuestState.INCOMING || guest.state === GuestState.RELEASED) return;
    await noteGuest(context, host, bootId, guest);
  } catch (error) {
    checkpoint(run);
    agentFailure(error);
  }
}
