import type { ServerId } from '@godwit/domain/ids';
import type { TaskState } from '@godwit/domain/server';
import type { Db } from '../../store/database.ts';
import { takeCharge } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';

export type OwnTask = {
  /** The task's own word alone: whoever was accepted over it has begun something else with the guest, and would be interfered with. */
  readonly taskState: Exclude<TaskState, null>;
  readonly actionId: number;
  readonly event: string;
  /** What had not happened yet when another took over, as the event tells it. */
  readonly before: string;
};

/** Takes charge and opens the event. False when nothing is left to do: an earlier run has written its end, or another task has the server now, and the event tells so. */
export async function beginTask(
  db: Db,
  run: WorkflowRun,
  serverId: ServerId,
  { taskState, actionId, event, before }: OwnTask,
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    // An earlier run that writes its end has this row, and lets it go with the event closed.
    const server = await tx
      .selectFrom('server')
      .select(['host_id', 'task_state'])
      .where('id', '=', serverId)
      .forUpdate()
      .executeTakeFirst();
    const over = await tx
      .selectFrom('instance_action_event')
      .select('id')
      .where('action_id', '=', actionId)
      .where('event', '=', event)
      .where('finish_time', 'is not', null)
      .executeTakeFirst();
    if (server === undefined) return false;
    // The server may be in the charge of a newer task of the same word.
    if (over !== undefined) return false;
    const ours = await takeCharge(tx, serverId, run.fence, [taskState]);
    await beginEvent(tx, actionId, event, server.host_id);
    if (!ours) {
      const task = server.task_state;
      const details = `the server was taken over${task === null ? '' : ` by another task (${task})`} before ${before}`;
      await finishEvent(tx, actionId, event, { ok: false, details });
    }
    return ours;
  });
}
