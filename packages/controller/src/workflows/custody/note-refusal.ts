import type { HostId, ServerId } from '@godwit/domain/ids';
import { asEpoch, asFence } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { AgentFailure } from '../../agents/agent-error.ts';
import type { WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { readCustody, stepCustody } from './custody-store.ts';
import { beginRecovery } from './database-restored.ts';

/**
 * A host that knows a higher epoch of one server proves that commits were lost, and other servers' hosts may still be silent: all are recovered. Not again for what a recovery that is
 * under way finds (`known`).
 */
export async function noteTimeTravel(context: Pick<WorkflowContext, 'db' | 'workflows' | 'log'>, known: boolean): Promise<void> {
  if (known) return;
  const servers = await beginRecovery(context.db, context.workflows);
  context.log.error(
    { servers },
    'the database is older than the hosts: nothing is granted for a server until every host that could hold it has reported',
  );
}

/**
 * A host that refuses may know more than the database (custody rule 8). A higher fence: the sequence of fences has travelled back, and goes on above it; throws, so that the run is
 * begun again under a new one. A higher epoch: nothing is granted for the server until it has been recovered, which is enqueued. True in the second case.
 */
export async function noteRefusal(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  host: HostId,
  failure: AgentFailure,
): Promise<boolean> {
  const { db } = context;
  const row = await readCustody(db, serverId);
  if (failure.code === 'custody-fence-low' && failure.knownFence !== null && failure.knownFence > run.fence && row.fence === run.fence) {
    await sql`select setval('fence_sequence', greatest((select last_value from fence_sequence), ${failure.knownFence}::bigint))`.execute(
      db,
    );
    throw new Error(`host ${host} has obeyed the fence ${failure.knownFence}, which the database has never given; fences go on above it`);
  }
  if (failure.kind !== 'refused' || failure.knownEpoch === null || failure.knownEpoch <= row.epoch) return false;
  const known = asEpoch(failure.knownEpoch);
  context.log.error(
    { server: serverId, host, known: failure.knownEpoch, epoch: row.epoch },
    'a host knows a newer epoch than the database; the server is recovered first',
  );
  await db.transaction().execute(async (tx) => {
    const refusal = {
      code: 'custody-epoch-stale',
      message: failure.message,
      epoch: null,
      knownEpoch: known,
      knownFence: asFence(failure.knownFence ?? 0),
    } as const;
    await stepCustody(tx, serverId, run.fence, [{ kind: 'heard', from: host, message: { kind: 'refused', refusal } }]);
    if (!row.behind) await context.workflows.enqueue(tx, { kind: 'settle-server', subjectId: serverId });
  });
  await noteTimeTravel(context, row.behind);
  return true;
}
