import { as, type ServerId } from '@godwit/domain/ids';
import { type Db, inTransaction } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { answerMove, finishedMove } from './answer-resize.ts';
import { lockForAction } from './lock-server.ts';

/** Accepts the confirmation of a cold move. The server shows no task: it stays as it is until the source has forgotten it. Throws the table's refusals, and BadRequest when nothing waits. */
export async function acceptConfirmResize(db: Db, workflows: Workflows, caller: Caller, serverId: ServerId): Promise<void> {
  await inTransaction(db, async (tx) => {
    const server = await lockForAction(tx, 'confirm-resize', serverId, caller);
    const move = await finishedMove(tx, serverId);
    await answerMove(tx, workflows, server, move, 'confirming', await recordAction(tx, serverId, 'confirmResize', caller));
  });
}

/** Confirms moves that have waited for longer than the window; whichever controller comes first. Returns the servers. */
export async function confirmOverdue(db: Db, workflows: Workflows, windowMs: number): Promise<readonly ServerId[]> {
  const overdue = await db
    .selectFrom('migration')
    .select('server_id')
    .where('status', '=', 'finished')
    .where('finished_at', 'is', null)
    .where('updated_at', '<', new Date(Date.now() - windowMs))
    .execute();
  const confirmed: ServerId[] = [];
  for (const { server_id } of overdue) {
    await db.transaction().execute(async (tx) => {
      const server = await tx
        .selectFrom('server')
        .select(['id', 'project_id'])
        .where('id', '=', server_id)
        .where('vm_state', '=', 'resized')
        .where('task_state', 'is', null)
        .where('deleted_at', 'is', null)
        .forUpdate()
        .executeTakeFirst();
      const still = await tx
        .selectFrom('migration')
        .select('id')
        .where('server_id', '=', server_id)
        .where('status', '=', 'finished')
        .where('finished_at', 'is', null)
        .executeTakeFirst();
      if (server === undefined || still === undefined) return;
      await answerMove(tx, workflows, server, await finishedMove(tx, server_id), 'confirming', null);
      confirmed.push(as<ServerId>(server_id));
    });
  }
  return confirmed;
}
