import type { PartialPolicy, ResolvedPolicy } from '@godwit/domain/convergence/resolve-policy';
import { GodwitError } from '@godwit/domain/errors';
import type { MigrationId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import { streamDecided } from '../live-migrate/stream-record.ts';
import type { Workflows } from '../port.ts';

/**
 * Changes what a live migration may cost, also while it copies: the fields that are given hold from now on, the others stay. Throws MigrationNotFound, InvalidMigrationState (it
 * has ended, nothing is copied any more, or its ends are prepared, or being prepared, for another memory stream).
 */
export async function acceptPolicyChange(db: Db, workflows: Workflows, migrationId: MigrationId, change: PartialPolicy): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const move = await tx
      .selectFrom('migration')
      .select(['type', 'phase', 'status', 'finished_at', 'policy', 'epoch_to', 'memory_stream'])
      .where('id', '=', migrationId)
      .forUpdate()
      .executeTakeFirst();
    if (move === undefined || move.type !== 'live-migration')
      throw new GodwitError('MigrationNotFound', `Migration ${migrationId} could not be found.`);
    if (move.finished_at !== null || move.phase === 'switchover' || move.phase === 'committing')
      throw new GodwitError('InvalidMigrationState', `Migration ${migrationId} is ${move.status}: nothing is copied any more.`);
    if (change.memoryStream !== undefined && streamDecided(move))
      throw new GodwitError(
        'InvalidMigrationState',
        `Migration ${migrationId} is ${move.memory_stream === null ? 'being prepared' : `prepared for ${move.memory_stream.used}`}: how its memory goes is decided before.`,
      );
    const changed = Object.fromEntries(Object.keys(change).map((field) => [field, 'request' as const]));
    const policy: Partial<ResolvedPolicy> = {
      ...move.policy,
      ...change,
      ...(move.policy.from === undefined ? {} : { from: { ...move.policy.from, ...changed } }),
    };
    await tx
      .updateTable('migration')
      .set((eb) => ({ policy: JSON.stringify(policy), policy_version: eb('policy_version', '+', 1) }))
      .where('id', '=', migrationId)
      .execute();
    await workflows.wake(tx, migrationId);
  });
}
