import { as, type HostId } from '@godwit/domain/ids';
import { powerState } from '@godwit/domain/server';
import { advance, type Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { writeServer } from '../server/server-record.ts';
import { startGuest } from '../server/start-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { close } from './events.ts';
import { goBack } from './go-back.ts';

/** A destination that does not answer for this long is given up. The call itself may take longer: images are fetched in it. */
const PATIENCE_MS = 15_000;

/** starting → finished. The guest starts at the destination under a grant of its own, unless it was stopped before; then the server waits to be confirmed. Undo: go-back. */
export async function start(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const { db } = context;
  const running = move.previous_vm_state === 'active';
  await db.transaction().execute((tx) => writeServer(tx, run, move.serverId, { task_state: 'resize_finish' }));
  await context.faultPoint('cold:switched');
  if (running) {
    const outcome = await startGuest(context, run, move.serverId, as<HostId>(move.destination_host_id ?? ''), {
      deleteDisksOnFailure: false,
      patienceMs: PATIENCE_MS,
    });
    if (outcome.kind !== 'running') {
      await goBack(context, run, move, {
        cause: outcome.kind === 'unknown' ? 'DestinationDown' : 'StartFailed',
        sentence:
          outcome.kind === 'unknown'
            ? 'The destination did not answer when the guest was to be started.'
            : 'The guest could not be started at the destination.',
        phase: 'error',
        evidence: [outcome.kind === 'failed' ? `${outcome.code}: ${outcome.why}` : outcome.why],
      });
      return;
    }
  }
  await db.transaction().execute(async (tx) => {
    const server = await tx.selectFrom('server').select(['epoch']).where('id', '=', move.serverId).executeTakeFirstOrThrow();
    await writeServer(tx, run, move.serverId, {
      vm_state: 'resized',
      power_state: running ? powerState.running : powerState.shutdown,
      task_state: null,
      progress: 0,
      fault: null,
    });
    await advance(tx, run, move, 'finished', 'finished', running ? { epoch_to: server.epoch } : {});
    await close(tx, actionId, 'compute_finish_resize');
  });
}
