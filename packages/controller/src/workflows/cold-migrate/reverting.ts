import { powerState } from '@godwit/domain/server';
import { finishMove } from '../live-migrate/finish-move.ts';
import { advance, type Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import { readServer, writeServer } from '../server/server-record.ts';
import { stopGuest } from '../server/stop-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { begin, close, endsWith } from './events.ts';
import { finishAtSource, startAgain } from './go-back.ts';
import { clearSide, copyDisks, destinationOf } from './local-disks.ts';
import { switchHost } from './switch-host.ts';

const STOP = 'compute_revert_resize';
const START = 'compute_finish_revert_resize';
const PATIENCE_MS = 60_000;

/**
 * reverting → reverted. The guest is stopped at the destination, local disks are copied back with all that was written since, the server belongs to its source again, with its old flavor, and starts there under a new epoch if it ran before
 * the move. A destination that does not answer ends the attempt: the server stays as it was, to be confirmed or reverted later.
 */
export async function revert(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const { db } = context;
  if ((await readServer(db, move.serverId)).host_id !== move.source) {
    await begin(db, actionId, STOP, move.destination_host_id);
    const stopped = await stopGuest(context, run, move.serverId, PATIENCE_MS);
    await context.faultPoint('cold:revert-stopped');
    if (stopped.kind === 'failed') {
      const details = `The destination did not stop the guest: ${stopped.failure.code}: ${stopped.failure.message}`;
      await db.transaction().execute(async (tx) => {
        await writeServer(tx, run, move.serverId, { task_state: null });
        await advance(tx, run, move, 'finished', 'finished');
        await close(tx, actionId, STOP, details);
      });
      return;
    }
    const guest = await localGuest(db, move.serverId);
    const failure = guest === null ? null : await copyDisks(context, run, move, guest, destinationOf(move), move.source);
    if (failure !== null)
      return stay(context, run, move, actionId, `The disks could not be copied back: ${failure.code}: ${failure.message}`);
    await db.transaction().execute(async (tx) => {
      await switchHost(tx, run, move, 'source', 'resize_reverting');
      await close(tx, actionId, STOP);
      await begin(tx, actionId, START, move.source);
    });
    await context.faultPoint('cold:reverted-host');
  }
  const back = await startAgain(context, run, move, move.source);
  if (back === null) return;
  const cleared = await clearSide(context, run, move.serverId, destinationOf(move));
  await db.transaction().execute(async (tx) => {
    if (back.why !== null) {
      await finishAtSource(tx, context, run, move, {
        why: {
          cause: 'StartFailed',
          sentence: 'The move was reverted, and the guest could not be started at the source.',
          phase: 'error',
          evidence: [back.why],
        },
        vmState: back.vmState,
        actionId,
        event: START,
      });
      return;
    }
    await finishMove(tx, context, run, move, {
      phase: 'reverted',
      status: 'reverted',
      outcome: {
        cause: null,
        sentence: 'The move was reverted.',
        runsOn: back.vmState === 'active' ? 'source' : 'nowhere',
        evidence: cleared ? [] : ['the destination did not answer and may still have a copy of the disks'],
      },
      server: { hostId: move.source, vmState: back.vmState },
      event: endsWith(actionId, START),
    });
  });
}

/** The disks are still at the destination alone: the guest runs on there, and the server waits as before. */
async function stay(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null, details: string): Promise<void> {
  const back = await startAgain(context, run, move, destinationOf(move));
  if (back === null) return;
  await context.db.transaction().execute(async (tx) => {
    await writeServer(tx, run, move.serverId, {
      task_state: null,
      power_state: back.vmState === 'active' ? powerState.running : powerState.shutdown,
    });
    await advance(tx, run, move, 'finished', 'finished');
    await close(tx, actionId, STOP, details);
  });
}
