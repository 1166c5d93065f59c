import { readCustody } from '../custody/custody-store.ts';
import { advance, type Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { stopGuest } from '../server/stop-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { endUnchanged } from './scheduling.ts';

const PATIENCE_MS = 60_000;

/**
 * stopping → copying-disks. The guest shuts itself down at the source, and is powered off when it does not within a minute; when this ends, custody says that nothing runs. Undo: it is started at
 * the source again (go-back).
 */
export async function stop(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const { holder } = await readCustody(context.db, move.serverId);
  const stopped = await stopGuest(context, run, move.serverId, PATIENCE_MS);
  await context.faultPoint('cold:stopped');
  await context.db.transaction().execute(async (tx) => {
    if (stopped.kind === 'failed') {
      const { failure } = stopped;
      await endUnchanged(tx, context, run, move, actionId, 'compute_resize_instance', {
        cause: failure.kind === 'unreachable' ? 'SourceDown' : 'Internal',
        sentence:
          failure.kind === 'unreachable'
            ? 'The source did not answer when the guest was to be shut down; whether it was is known when the source returns.'
            : 'The guest could not be shut down.',
        details: `${failure.code}: ${failure.message}`,
      });
      return;
    }
    await advance(tx, run, move, 'copying-disks', 'migrating', holder.kind === 'host' ? { epoch_from: holder.epoch } : {});
  });
}
