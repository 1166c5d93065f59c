import { randomUUID } from 'node:crypto';
import { settledDestination } from '@godwit/domain/drain-plan/other-destination';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import type { Selectable } from 'kysely';
import type { MigrationTable } from '../../store/core-tables.ts';
import { acceptConfirmResize } from '../accept/confirm-resize.ts';
import type { Caller } from '../operations.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { type Operation, type OperationItemRow, readItems } from './operation-rows.ts';
import { endedBy, writeItem } from './write-item.ts';

/** How often an item whose destination was taken by somebody else meanwhile is decided again. */
const ATTEMPTS = 3;

/** Whoever began the operation was an admin; what it does is done in that name. */
export const callerOf = (operation: Operation): Caller => ({
  userId: operation.user_id,
  projectId: operation.project_id,
  roles: ['admin'],
  isAdmin: true,
  requestId: operation.request_id,
});

/** Notes what came of the moves that have ended, and confirms cold ones: the operation waits for nobody's answer. */
export async function settleItems(context: WorkflowContext, run: WorkflowRun, operation: Operation): Promise<void> {
  for (const item of await readItems(context.db, operation.id)) {
    if (item.state !== 'moving' || item.migration_id === null) continue;
    checkpoint(run);
    const move = await context.db.selectFrom('migration').selectAll().where('id', '=', item.migration_id).executeTakeFirst();
    if (move === undefined) {
      await write(context, run, item, {
        ...endedBy('failed', 'MigrationNotFound', `The record ${item.migration_id} of its move is gone.`),
        note: settledDestination(item.note, false),
      });
      continue;
    }
    if (move.finished_at === null) {
      if (move.status === 'finished') await confirm(context, operation, item);
      continue;
    }
    await write(context, run, item, endOf(item, move));
  }
}

const write = (
  context: WorkflowContext,
  run: WorkflowRun,
  item: OperationItemRow,
  values: Parameters<typeof writeItem>[3],
): Promise<void> => context.db.transaction().execute((tx) => writeItem(tx, run, item, values));

const succeeded: readonly string[] = ['completed', 'confirmed', 'done'];

function endOf(item: OperationItemRow, move: Selectable<MigrationTable>): Parameters<typeof writeItem>[3] {
  const arrived = succeeded.includes(move.status);
  return { ...stateAfter(item, move, arrived), note: settledDestination(item.note, arrived) };
}

function stateAfter(item: OperationItemRow, move: Selectable<MigrationTable>, arrived: boolean): Parameters<typeof writeItem>[3] {
  const { outcome } = move;
  if (arrived) return { state: 'done', destination_host_id: move.destination_host_id, cause: null, finished_at: move.finished_at };
  const code = outcome?.cause ?? (move.status === 'reverted' ? 'Reverted' : 'Internal');
  const evidence = outcome === null ? '' : [outcome.sentence, ...(code === 'NoValidHost' ? outcome.evidence : [])].join(' ');
  const sentence = evidence === '' ? `Its move ended as ${move.status}.` : evidence;
  if (code === 'ServerDeleted') return { ...endedBy('skipped', code, sentence), destination_host_id: null };
  // Somebody else took the room between our decision and its claim: decide again.
  if (code === 'NoValidHost' && !item.pinned && item.attempt < ATTEMPTS)
    return { state: 'waiting', destination_host_id: null, migration_id: null };
  return { ...endedBy('failed', code, sentence), destination_host_id: null };
}

/** A finished cold move is confirmed in the operation's name. Somebody who answered it first is as good. */
async function confirm(context: WorkflowContext, operation: Operation, item: OperationItemRow): Promise<void> {
  try {
    await acceptConfirmResize(
      context.db,
      context.workflows,
      { ...callerOf(operation), requestId: `req-${randomUUID()}` },
      as<ServerId>(item.server_id),
    );
  } catch (error) {
    if (!(error instanceof GodwitError)) throw error;
    context.log.info(
      { server: item.server_id, code: error.code },
      'a cold move of an operation is not confirmed now; it is looked at again',
    );
  }
}
