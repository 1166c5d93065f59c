import type { ServerId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { lockForAction, shutOutRunning } from './lock-server.ts';

/** Accepts a delete in any state, also during a move. A second delete of the same server adds nothing. */
export async function acceptDelete(db: Db, workflows: Workflows, caller: Caller, serverId: ServerId): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'delete', serverId, caller);
    if (server.task_state === 'deleting') return;
    await shutOutRunning(tx, serverId);
    await tx.updateTable('server').set({ task_state: 'deleting', updated_at: new Date() }).where('id', '=', serverId).execute();
    const actionId = await recordAction(tx, serverId, 'delete', caller);
    await workflows.enqueue(tx, { kind: 'delete-server', subjectId: serverId, input: { actionId } });
    await tellServer(tx, serverId);
  });
}
