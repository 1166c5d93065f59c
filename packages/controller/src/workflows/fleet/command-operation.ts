import { countItems, type OperationCommand, type OperationState, refusalOf } from '@godwit/domain/drain-plan/fleet-operation';
import { GodwitError } from '@godwit/domain/errors';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { demandFree, oneAtATime } from './accept-operation.ts';
import { readHosts, readItems, readOperation, tellOperation } from './operation-rows.ts';

const nextState: Readonly<Record<OperationCommand, OperationState>> = {
  pause: 'paused',
  resume: 'running',
  abort: 'aborting',
  retry: 'running',
};

/**
 * Pauses, resumes or aborts an operation, or takes up what failed in one that has ended. Whoever executes it is woken. Throws NotFound, and Conflict with why when the state of the operation does not
 * allow it, or when a server or host that would be taken up again belongs to another operation now; nothing has changed then.
 */
export async function commandOperation(db: Db, workflows: Workflows, caller: Caller, id: string, command: OperationCommand): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (command === 'retry') await oneAtATime(tx);
    const operation = await readOperation(tx, id, true);
    const items = await readItems(tx, id);
    const refusal = refusalOf(command, operation.state, countItems(items.map(({ state }) => state)));
    if (refusal !== null) throw new GodwitError('Conflict', `Cannot ${command} operation ${id}: ${refusal}.`);
    const now = new Date();
    await tx.updateTable('fleet_operation').set({ state: nextState[command], updated_at: now }).where('id', '=', id).execute();
    if (command === 'retry') {
      const again = items.filter(({ state }) => state === 'failed' || state === 'excluded');
      const hosts = await readHosts(tx, id);
      await demandFree(tx, { servers: again.map(({ server_id }) => server_id), hosts: hosts.map(({ name }) => name) }, id);
      await tx.updateTable('fleet_operation').set({ request_id: caller.requestId, finished_at: null }).where('id', '=', id).execute();
      await tx
        .updateTable('fleet_item')
        .set({ state: 'waiting', cause: null, migration_id: null, destination_host_id: null, started_at: null, finished_at: null })
        .where('operation_id', '=', id)
        .where('state', 'in', ['failed', 'excluded'])
        .execute();
      await tx
        .updateTable('fleet_host')
        .set({ step: 'draining', proof: null })
        .where('operation_id', '=', id)
        .where('step', '=', 'not-empty')
        .execute();
      await workflows.enqueue(tx, { kind: 'fleet-operation', subjectId: id });
    } else await workflows.wake(tx, id);
    await tellOperation(tx, id);
  });
}
