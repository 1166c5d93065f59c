import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import type { LivePhase } from '@godwit/domain/migration';
import { takeCharge } from '../custody/custody-store.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { commit } from './committing.ts';
import { copy } from './copying.ts';
import { endBeforeGrant, givenUp, undo } from './give-up.ts';
import { type Move, readMove, takeMove } from './move.ts';
import { prepare } from './preparing.ts';
import { awaitTurn, schedule } from './scheduling.ts';
import { switchOver } from './switchover.ts';

/** What it returns is the record as it left it; without, it has to be read. `ended`: it is terminal. */
type Phase = (context: WorkflowContext, run: WorkflowRun, move: Move) => Promise<Move | 'ended' | undefined>;

/** A phase that leaves the record to be read again. */
const reread =
  (phase: (...move: Parameters<Phase>) => Promise<void>): Phase =>
  async (...move) => {
    await phase(...move);
    return undefined;
  };

/** The phases in their order. Each advances the record, or ends it; each can be run again from its beginning by another executor. */
export const phases: Readonly<Partial<Record<LivePhase, Phase>>> = {
  accepted: schedule,
  scheduling: schedule,
  queued: awaitTurn,
  preparing: prepare,
  copying: copy,
  switchover: reread(switchOver),
  committing: commit,
};

/**
 * A live migration from its acceptance to its end, or from wherever an executor before left it. When it returns, the record is terminal with a cause that was observed, the server's
 * task has ended, its host is final and exactly one allocation is left; or another executor is in charge (Fenced).
 */
export async function liveMigrate(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const moveId = as<MigrationId>(run.subjectId);
  const serverId = as<ServerId>((run.input as unknown as { readonly serverId: string }).serverId);
  // A delete, once accepted, ends the move: it has the server from then on.
  if (!(await takeCharge(db, serverId, run.fence, ['migrating']))) return;
  let left: Move | 'ended' | undefined = await takeMove(db, moveId, run);
  for (;;) {
    checkpoint(run);
    if (left === 'ended') return;
    const move: Move = left ?? (await readMove(db, moveId));
    left = undefined;
    if (move.finished_at !== null) return;
    await context.faultPoint(`phase:${move.phase}`);
    if (givenUp(move) !== null) {
      await undo(context, run, move);
      continue;
    }
    if (move.abort_requested_at !== null && (move.phase === 'accepted' || move.phase === 'scheduling' || move.phase === 'queued')) {
      await endBeforeGrant(context, run, move, {
        cause: 'CancelledByOperator',
        sentence: 'The migration was cancelled by an operator before it began.',
        phase: 'cancelled',
        evidence: [],
      });
      return;
    }
    const phase = phases[move.phase as LivePhase];
    if (phase === undefined) throw new Error(`migration ${moveId} is in the phase ${move.phase}, which a live migration does not have`);
    left = await phase(context, run, move);
  }
}
