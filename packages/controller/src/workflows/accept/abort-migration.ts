import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { terminalMigrationStatuses } from '@godwit/domain/migration';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { lockForAction } from './lock-server.ts';

const terminal: readonly string[] = terminalMigrationStatuses;

/**
 * Asks for the end of a live migration. Whoever executes it is woken and cancels at the source first; a migration whose source has released completes all the same, and its record
 * says so. Throws MigrationNotFound, InvalidState (the server is not migrating), InvalidMigrationState (it has ended).
 */
export async function acceptAbort(db: Db, workflows: Workflows, caller: Caller, migrationId: MigrationId): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const found = await tx.selectFrom('migration').select(['server_id', 'type']).where('id', '=', migrationId).executeTakeFirst();
    if (found === undefined || found.type !== 'live-migration')
      throw new GodwitError('MigrationNotFound', `Migration ${migrationId} could not be found.`);
    // Server before migration: the order in which workflows lock them.
    await lockForAction(tx, 'abort-live-migration', as<ServerId>(found.server_id), caller);
    const move = await tx
      .selectFrom('migration')
      .select(['status', 'abort_requested_at'])
      .where('id', '=', migrationId)
      .forUpdate()
      .executeTakeFirstOrThrow();
    if (terminal.includes(move.status)) {
      throw new GodwitError(
        'InvalidMigrationState',
        `Migration ${migrationId} state of instance ${found.server_id} is ${move.status}. Cannot abort live migration while the migration is in this state.`,
      );
    }
    if (move.abort_requested_at === null) {
      await tx.updateTable('migration').set({ abort_requested_at: new Date() }).where('id', '=', migrationId).execute();
      await recordAction(tx, found.server_id, 'live_migration_cancel', caller);
    }
    await workflows.wake(tx, migrationId);
  });
}
