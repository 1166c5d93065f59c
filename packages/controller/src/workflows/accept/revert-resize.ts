import type { ServerId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { answerMove, finishedMove } from './answer-resize.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { lockForAction } from './lock-server.ts';

/** Accepts the reversal of a cold move. Throws the table's refusals, BadRequest when nothing waits, SourceServiceDown when the host to go back to does not answer: nothing has changed then. */
export async function acceptRevertResize(db: Db, workflows: Workflows, caller: Caller, serverId: ServerId): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'revert-resize', serverId, caller);
    const move = await finishedMove(tx, serverId);
    await demandServiceUp(
      tx,
      move.sourceHostId,
      `Cannot revert the move of instance ${serverId}: the service of the host that it came from is down.`,
    );
    await tx.updateTable('server').set({ task_state: 'resize_reverting', updated_at: new Date() }).where('id', '=', serverId).execute();
    await answerMove(tx, workflows, server, move, 'reverting', await recordAction(tx, serverId, 'revertResize', caller));
    await tellServer(tx, serverId);
  });
}
