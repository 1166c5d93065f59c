import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import type { HostId } from '@godwit/domain/ids';
import type { VmState } from '@godwit/domain/server';
import { applyFences } from '../custody/apply-fences.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { settle } from '../custody/settle.ts';
import { finishMove } from '../live-migrate/finish-move.ts';
import { givenUp, pending } from '../live-migrate/give-up.ts';
import { type GivingUp, type Move, writeMove } from '../live-migrate/move.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { serverFault } from '../server/fault.ts';
import { writeServer } from '../server/server-record.ts';
import { startGuest } from '../server/start-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { type ColdEvent, endsWith } from './events.ts';
import { clearSide, destinationOf } from './local-disks.ts';
import { switchHost } from './switch-host.ts';

const RETRY_MS = 2_000;
const PATIENCE_MS = 60_000;

/** Gives up a move whose guest has been stopped: why is written first, with custody's turn backwards. The next turn of the workflow brings the server back. */
export async function goBack(context: WorkflowContext, run: WorkflowRun, move: Move, why: GivingUp): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const { operation } = await readCustody(tx, move.serverId, true);
    if (operation?.kind === 'start') await stepCustody(tx, move.serverId, run.fence, [{ kind: 'abort' }]);
    await writeMove(tx, run, move, { outcome: JSON.stringify(pending(why)) });
  });
  await context.faultPoint('cold:given-up');
}

/**
 * Brings the server of a given-up move back to its source, flavor and all, and starts it there if it ran before. A destination that may have the guest running is waited for, or has to be fenced
 * (custody rule 5); when it turns out that it has, the move goes on instead.
 */
export async function returnToSource(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const { db } = context;
  const why = givenUp(move);
  if (why === null) return;
  const row = await settledCustody(context, run, move);
  if (row === null) return;
  if (row.holder.kind === 'host' && row.holder.hostId === move.destination_host_id) {
    await db.transaction().execute(async (tx) => {
      await writeServer(tx, run, move.serverId, {});
      await writeMove(tx, run, move, { outcome: null });
    });
    return;
  }
  await db.transaction().execute((tx) => switchHost(tx, run, move, 'source', 'resize_finish'));
  const back = await startAgain(context, run, move, move.source);
  if (back === null) return;
  const cleared = await clearSide(context, run, move.serverId, destinationOf(move));
  const left = cleared ? [] : ['the destination did not answer and may still have a copy of the disks'];
  const evidence =
    back.why === null ? [...why.evidence, ...left] : [...why.evidence, `it could not be started again at the source: ${back.why}`, ...left];
  await db.transaction().execute((tx) =>
    finishAtSource(tx, context, run, move, {
      why: { ...why, evidence },
      vmState: back.vmState,
      actionId,
      event: 'compute_finish_resize',
    }),
  );
}

/** The end of a move that has failed, with the server at its source in the state in which it is there. */
export async function finishAtSource(
  tx: WorkflowContext['db'],
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  end: { readonly why: GivingUp; readonly vmState: VmState; readonly actionId: number | null; readonly event: ColdEvent },
): Promise<void> {
  const { why, vmState, actionId, event } = end;
  await writeServer(tx, run, move.serverId, { fault: serverFault(why.sentence, why.evidence.join('; ')) });
  await finishMove(tx, context, run, move, {
    phase: 'error',
    status: 'error',
    outcome: { cause: why.cause, sentence: why.sentence, runsOn: vmState === 'active' ? 'source' : 'nowhere', evidence: why.evidence },
    server: { hostId: move.source, vmState },
    event: endsWith(actionId, event),
  });
}

/**
 * Starts a guest that ran before the move on a host again. It is `stopped` there when it does not start, so that it can be started by hand. Null: the host does not say what it did;
 * to be asked again.
 */
export async function startAgain(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  hostId: HostId,
): Promise<{ readonly vmState: 'active' | 'stopped'; readonly why: string | null } | null> {
  if (move.previous_vm_state !== 'active') return { vmState: 'stopped', why: null };
  const outcome = await startGuest(context, run, move.serverId, hostId, { deleteDisksOnFailure: false, patienceMs: PATIENCE_MS });
  if (outcome.kind === 'running') return { vmState: 'active', why: null };
  if (outcome.kind === 'failed') return { vmState: 'stopped', why: `${outcome.code}: ${outcome.why}` };
  await applyFences(context, run, move.serverId);
  await run.pause(RETRY_MS);
  return null;
}

/** The custody of the server once no operation is left; null: a host has not answered yet, to be asked again. */
async function settledCustody(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<CustodyRow | null> {
  checkpoint(run);
  const row = await readCustody(context.db, move.serverId);
  // A start at the source that an executor before has begun is continued, not settled.
  if (row.operation?.kind === 'start' && row.operation.step !== 'forfeiting' && row.operation.grant.destination === move.source) return row;
  await applyFences(context, run, move.serverId);
  const settled = await settle(context, run, move.serverId, { deleteDisks: false });
  if (settled.kind === 'settled') return settled.row;
  context.log.warn({ migration: move.moveId, host: settled.hostId, why: settled.why }, 'a cold move that failed waits for a host');
  await run.pause(RETRY_MS);
  return null;
}
