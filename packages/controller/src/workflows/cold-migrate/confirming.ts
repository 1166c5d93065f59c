import { as, type HostId } from '@godwit/domain/ids';
import { powerState, type VmState } from '@godwit/domain/server';
import { finishMove } from '../live-migrate/finish-move.ts';
import type { Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import { readServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { begin, endsWith } from './events.ts';
import { clearSide, givenUpOn } from './local-disks.ts';

const EVENT = 'compute_confirm_resize';
const RETRY_MS = 5_000;

/**
 * confirming → confirmed. The source forgets the server, deletes what local disks it kept, and its share of the ledger is freed; shared disks stay. Forward only. A source that does not answer is
 * waited for only when it has disks to delete, until it is fenced: otherwise what it has is a stopped copy under an epoch that is over.
 */
export async function confirm(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const { db } = context;
  await begin(db, actionId, EVENT, move.source);
  const cleared = await clearSide(context, run, move.serverId, move.source);
  if (!cleared && (await localGuest(db, move.serverId)) !== null && !(await givenUpOn(db, move.source, move.created_at))) {
    await run.pause(RETRY_MS);
    return;
  }
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
