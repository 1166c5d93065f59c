import { leaveBehind, readCustody } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { recoverCustody } from '../server/recover-server.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';

/**
 * The database failed over or was put back while this move had no grant, or had lost it: the hosts' word comes first, and nobody else asks them while the move has the server. `unknown`: not
 * every host has said what it has; ask again. `elsewhere`: the guest is not at the source. The server then stays behind, and is recovered when the move has ended: two claims are held until then.
 */
export async function recoverBefore(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
): Promise<'as it was' | 'elsewhere' | 'unknown'> {
  if (!(await recoverCustody(context, run, move.serverId)).complete) return 'unknown';
  const { holder } = await readCustody(context.db, move.serverId);
  if (holder.kind === 'host' && holder.hostId === move.source) return 'as it was';
  await context.db.transaction().execute((tx) => leaveBehind(tx, move.serverId, run.fence));
  return 'elsewhere';
}
