import type { WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { giveUp } from './give-up.ts';
import { advance, type Move } from './move.ts';
import { mayCopy } from './queue.ts';

// A wake is sent when a move leaves its links; this is for the one that leaves with its controller.
const LOOK_AGAIN_MS = 1_000;

/** preparing, and all is prepared → copying, when both links are free. Undo: the destination forfeits, as of everything prepared. */
export async function awaitLink(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<Move | undefined> {
  if (move.abort_requested_at !== null) {
    await giveUp(context, run, move, {
      cause: 'CancelledByOperator',
      sentence: 'The migration was cancelled by an operator before it copied anything.',
      phase: 'cancelled',
      evidence: [],
    });
    return;
  }
  const begun = await context.db
    .transaction()
    .execute(async (tx) => ((await mayCopy(tx, move.moveId, context.config.limits)) ? advance(tx, run, move, 'copying', 'running') : null));
  if (begun !== null) return begun;
  await run.pause(LOOK_AGAIN_MS);
}
