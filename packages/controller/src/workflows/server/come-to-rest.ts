import type { ServerId } from '@godwit/domain/ids';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { settle } from '../custody/settle.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { stopGuest } from './stop-guest.ts';

const RETRY_MS = 500;

/**
 * Ends whatever runs of a server, a start that nobody knows the end of and a saved memory included, so that its disk is nobody's. Returns null then, else why it is not so after `patienceMs`: nothing may be done with the
 * disk. The guest has `shutdownMs` to shut itself down.
 */
export async function comeToRest(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  patienceMs: number,
  shutdownMs: number,
): Promise<string | null> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    checkpoint(run);
    const row = await readCustody(context.db, serverId);
    let why: string;
    if (row.behind || row.operation?.kind === 'recovery') {
      return 'what runs of the server is not known since the database was restored';
    } else if (row.operation !== null) {
      if (row.operation.kind === 'start' && row.operation.step !== 'forfeiting')
        await context.db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'abort' }]));
      const settled = await settle(context, run, serverId, { deleteDisks: false });
      if (settled.kind === 'settled') continue;
      why = settled.why;
    } else if (row.holder.kind === 'host') {
      const stopped = await stopGuest(context, run, serverId, Math.max(0, deadline - Date.now()), shutdownMs);
      if (stopped.kind === 'stopped') continue;
      return stopped.failure.message;
    } else if (row.holder.kind === 'suspended') {
      // What comes next runs with its disk: the memory is never loaded after that.
      await context.db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'destroy' }]));
      await context.faultPoint('rest:burned');
      continue;
    } else return null;
    if (Date.now() > deadline) return why;
    await run.pause(RETRY_MS);
  }
}
