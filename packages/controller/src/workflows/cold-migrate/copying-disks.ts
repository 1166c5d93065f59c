import type { MigrationCause } from '@godwit/domain/migration';
import { migrationCauses } from '@godwit/domain/migration';
import { advance, type Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { begin, close } from './events.ts';
import { goBack } from './go-back.ts';
import { copyDisks, destinationOf } from './local-disks.ts';
import { switchHost } from './switch-host.ts';

const known = new Set<string>(migrationCauses);

/**
 * copying-disks → starting. What exists on the source alone is copied; the source keeps its disks until the move is confirmed. Then the server belongs to the destination. Undo: the
 * copies are deleted, and the guest starts at the source again (go-back).
 */
export async function copy(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const guest = await localGuest(context.db, move.serverId);
  const failure = guest === null ? null : await copyDisks(context, run, move, guest, move.source, destinationOf(move));
  await context.faultPoint('cold:copied');
  if (failure !== null) {
    await goBack(context, run, move, {
      cause: known.has(failure.code) ? (failure.code as MigrationCause) : 'StreamFailed',
      sentence: `The disks could not be copied to the destination: ${failure.message}`,
      phase: 'error',
      evidence: [`${failure.code}: ${failure.message}`],
    });
    return;
  }
  await context.db.transaction().execute(async (tx) => {
    await switchHost(tx, run, move, 'destination', 'resize_migrated');
    await advance(tx, run, move, 'starting', 'post-migrating');
    await close(tx, actionId, 'compute_resize_instance');
    await begin(tx, actionId, 'compute_finish_resize', move.destination_host_id);
  });
}
