import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import type { MigrationPhase } from '@godwit/domain/migration';
import type { TaskState } from '@godwit/domain/server';
import { takeCharge } from '../custody/custody-store.ts';
import { givenUp } from '../live-migrate/give-up.ts';
import { type Move, readMove, takeMove } from '../live-migrate/move.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { confirm } from './confirming.ts';
import { copy } from './copying-disks.ts';
import { returnToSource } from './go-back.ts';
import { prepare } from './preparing.ts';
import { revert } from './reverting.ts';
import { schedule } from './scheduling.ts';
import { start } from './starting.ts';
import { stop } from './stopping.ts';

type Phase = (context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null) => Promise<void>;

/** The phases of a cold migration or resize in their order; `finished` waits for the user. Each advances the record, or ends it, and can be run again from its beginning. */
export const phases: Readonly<Partial<Record<MigrationPhase, Phase>>> = {
  accepted: schedule,
  scheduling: schedule,
  preparing: prepare,
  stopping: stop,
  'copying-disks': copy,
  starting: start,
  confirming: confirm,
  reverting: revert,
};

/**
 * A cold migration or resize from its acceptance to VERIFY_RESIZE, and from a confirm or revert to its end; or from wherever an executor before left it. When it returns, the record is `finished` with
 * both sides held, or terminal with the server on one host in the state in which it was seen, startable there; or another executor is in charge (Fenced).
 */
export async function coldMigrate(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const moveId = as<MigrationId>(run.subjectId);
  const input = run.input as unknown as { readonly serverId: string; readonly actionId: number | null };
  const serverId = as<ServerId>(input.serverId);
  const { phase: before } = await readMove(db, moveId);
  // A delete, once accepted, has the server from then on.
  if (!(await takeCharge(db, serverId, run.fence, taskStatesIn(before)))) return;
  await takeMove(db, moveId, run);
  for (;;) {
    checkpoint(run);
    const move = await readMove(db, moveId);
    if (move.finished_at !== null || move.phase === 'finished') return;
    await context.faultPoint(`phase:${move.phase}`);
    const phase = givenUp(move) === null ? phases[move.phase] : returnToSource;
    if (phase === undefined) throw new Error(`migration ${moveId} is in the phase ${move.phase}, which a cold migration does not have`);
    await phase(context, run, move, input.actionId);
  }
}

/** The task that a server has while its move is in a phase. A server that is being confirmed shows none. */
function taskStatesIn(phase: MigrationPhase): readonly TaskState[] {
  if (phase === 'confirming') return [null];
  if (phase === 'reverting') return ['resize_reverting'];
  return ['resize_prep', 'resize_migrating', 'resize_migrated', 'resize_finish'];
}
