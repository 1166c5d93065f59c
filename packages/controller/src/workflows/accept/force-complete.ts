import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { lockForAction } from './lock-server.ts';

/**
 * Asks for the end of a running copy: the guest is stopped for as long as the rest takes, whatever the policy's largest blackout. Asking again changes nothing. Throws
 * MigrationNotFound, InvalidState (the server is not active and migrating), InvalidMigrationState (the copy is not under way).
 */
export async function acceptForceComplete(db: Db, workflows: Workflows, caller: Caller, migrationId: MigrationId): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const found = await tx.selectFrom('migration').select(['server_id', 'type']).where('id', '=', migrationId).executeTakeFirst();
    if (found === undefined || found.type !== 'live-migration')
      throw new GodwitError('MigrationNotFound', `Migration ${migrationId} could not be found.`);
    // Server before migration: the order in which workflows lock them.
    await lockForAction(tx, 'force-complete', as<ServerId>(found.server_id), caller);
    const move = await tx
      .selectFrom('migration')
      .select(['status', 'force_requested_at'])
      .where('id', '=', migrationId)
      .forUpdate()
      .executeTakeFirstOrThrow();
    if (move.status !== 'running')
      throw new GodwitError(
        'InvalidMigrationState',
        `Migration ${migrationId} state of instance ${found.server_id} is ${move.status}. Cannot force_complete while the migration is in this state.`,
      );
    if (move.force_requested_at === null) {
      await tx
        .updateTable('migration')
        .set((eb) => ({ force_requested_at: new Date(), policy_version: eb('policy_version', '+', 1) }))
        .where('id', '=', migrationId)
        .execute();
      await recordAction(tx, found.server_id, 'live_migration_force_complete', caller);
    }
    await workflows.wake(tx, migrationId);
  });
}
