import { itemHasEnded, type OperationState } from '@godwit/domain/drain-plan/fleet-operation';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { advanceHosts } from './advance-hosts.ts';
import { beginItems } from './begin-items.ts';
import { demandCharge, takeOperation } from './charge.ts';
import { type Operation, readHosts, readItems, readOperation, tellOperation } from './operation-rows.ts';
import { settleItems } from './settle-items.ts';

/** A wake is sent when a move of the operation ends and at each command; this is for what nobody tells of (a server that was busy, a host that came back). */
const LOOK_AGAIN_MS = 1_000;
/** While a cold move is under way: it waits for nobody's confirmation but ours. */
const LOOK_AGAIN_COLD_MS = 200;

/**
 * A fleet operation from its acceptance to its end, or from wherever an executor before left it. Reads its rows, settles what has ended, begins what may begin, and waits. When it returns the operation
 * has ended and every item says what came of it; or another executor is in charge (Fenced).
 */
export async function fleetOperation(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const id = run.subjectId;
  await takeOperation(db, run);
  for (;;) {
    checkpoint(run);
    const operation = await readOperation(db, id);
    if (operation.finished_at !== null) return;
    await settleItems(context, run, operation);
    await context.faultPoint('fleet:settled');
    if (operation.state === 'running') await beginItems(context, run, operation);
    if (operation.state === 'aborting') await cancelWaiting(context, run, operation);
    await context.faultPoint('fleet:begun');
    const before = await readOperation(db, id);
    const hostsDone = await advanceHosts(context, run, before);
    const items = await readItems(db, id);
    if (hostsDone && items.every(({ state }) => itemHasEnded(state))) {
      if (await end(context, run, operation)) return;
      continue;
    }
    // A host has come a step further: there may be something to begin.
    if ((await readOperation(db, id)).updated_at > before.updated_at) continue;
    await run.pause(items.some(({ state, method }) => state === 'moving' && method === 'cold') ? LOOK_AGAIN_COLD_MS : LOOK_AGAIN_MS);
  }
}

/** What has not begun is given up; what moves comes to its end. */
async function cancelWaiting({ db }: WorkflowContext, run: WorkflowRun, operation: Operation): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await demandCharge(tx, run, operation.id);
    const { numUpdatedRows } = await tx
      .updateTable('fleet_item')
      .set({
        state: 'cancelled',
        cause: JSON.stringify({ code: 'CancelledByOperator', sentence: 'The operation was aborted before its turn came.', remedy: null }),
        finished_at: new Date(),
      })
      .where('operation_id', '=', operation.id)
      .where('state', '=', 'waiting')
      .executeTakeFirst();
    if (numUpdatedRows > 0n) await tellOperation(tx, operation.id);
  });
}

/** Ends the operation when nothing is left to do. False: something came in between, look again. */
async function end({ db }: WorkflowContext, run: WorkflowRun, seen: Operation): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const operation = await demandCharge(tx, run, seen.id);
    if (operation.state !== seen.state) return false;
    const items = await readItems(tx, seen.id);
    const hosts = await readHosts(tx, seen.id);
    const whole =
      items.every(({ state }) => state === 'done' || state === 'skipped') &&
      hosts.every(({ step }) => step === 'empty' || step === 'restored' || step === 'in-maintenance');
    const state: OperationState = operation.state === 'aborting' ? 'aborted' : whole ? 'completed' : 'incomplete';
    const now = new Date();
    await tx.updateTable('fleet_operation').set({ state, finished_at: now, updated_at: now }).where('id', '=', seen.id).execute();
    await tellOperation(tx, seen.id);
    return true;
  });
}
