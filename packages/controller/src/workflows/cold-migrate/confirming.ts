import { as, type HostId } from '@godwit/domain/ids';
import { powerState, type VmState } from '@godwit/domain/server';
import { finishMove } from '../live-migrate/finish-move.ts';
import type { Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { destroyAt } from '../server/remove-disks.ts';
import { readServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { begin, endsWith } from './events.ts';

const EVENT = 'compute_confirm_resize';

/**
 * confirming → confirmed. The source forgets the server and its share of the ledger is freed; the disks are shared and stay. Forward only: a source that does not answer is not waited for,
 * because what it has there is a stopped copy under an epoch that is over.
 */
export async function confirm(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const { db } = context;
  await begin(db, actionId, EVENT, move.source);
  const cleared = await destroyAt(context, run, move.serverId, move.source, null);
  await context.faultPoint('cold:cleared');
  await db.transaction().execute(async (tx) => {
    const server = await readServer(tx, move.serverId);
    const vmState: VmState =
      server.power_state === powerState.shutdown ? 'stopped' : server.power_state === powerState.crashed ? 'error' : 'active';
    await finishMove(tx, context, run, move, {
      phase: 'confirmed',
      status: 'confirmed',
      outcome: {
        cause: null,
        sentence: 'The move was confirmed; the source keeps nothing of the server.',
        runsOn: vmState === 'active' ? 'destination' : 'nowhere',
        evidence: cleared ? [] : ['the source did not answer and still remembers a stopped copy'],
      },
      server: { hostId: as<HostId>(move.destination_host_id ?? ''), vmState },
      event: endsWith(actionId, EVENT),
    });
  });
}
