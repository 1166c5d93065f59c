import { countItems, type OperationCommand, type OperationState, refusalOf } from '@godwit/domain/drain-plan/fleet-operation';
import { GodwitError } from '@godwit/domain/errors';
import { switchHost } from '../../hosts/switch-host.ts';
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
      for (const host of hosts.filter(({ step }) => step === 'not-empty')) {
        await tx
          .updateTable('fleet_host')
          .set({ step: 'draining', proof: null })
          .where('operation_id', '=', id)
          .where('host_id', '=', host.host_id)
          .execute();
        if (operation.kind !== 'evacuate') await switchHost(tx, host.host_id, { enabled: false, reason: operation.reason });
      }
      await workflows.enqueue(tx, { kind: 'fleet-operation', subjectId: id });
    } else await workflows.wake(tx, id);
    await tellOperation(tx, id);
  });
}

/**
 * Notes that the work on a host of a rolling operation is done: it is enabled, and what left it comes home. Throws NotFound, and Conflict when that host does not wait for this; nothing has changed then.
 */
export async function hostDone(db: Db, workflows: Workflows, id: string, name: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const operation = await readOperation(tx, id, true);
    const host = (await readHosts(tx, id)).find((one) => one.name === name);
    if (host === undefined) throw new GodwitError('NotFound', `Operation ${id} has no host ${name.slice(0, 255)}.`);
    if (operation.kind !== 'rolling' || operation.finished_at !== null)
      throw new GodwitError(
        'Conflict',
        `Operation ${id} is ${operation.kind} and ${operation.state}: none of its hosts waits for work to be done.`,
      );
    if (host.step !== 'in-maintenance' && host.step !== 'not-empty')
      throw new GodwitError('Conflict', `Host ${host.name} is ${host.step} in operation ${id}: it does not wait for work to be done.`);
    await tx
      .updateTable('fleet_host')
      .set({ done_at: new Date() })
      .where('operation_id', '=', id)
      .where('host_id', '=', host.host_id)
      .execute();
    await workflows.wake(tx, id);
    await tellOperation(tx, id);
  });
}
