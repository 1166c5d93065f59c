import { GodwitError } from '@godwit/domain/errors';
import type { MigrationId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import type { Workflows } from '../port.ts';

/**
 * Caps the bandwidth of a live migration, also while it copies; null takes its cap away. The links' own caps hold all the same. Bytes per second. Throws MigrationNotFound,
 * InvalidMigrationState (it has ended, or nothing is copied any more).
 */
export async function acceptBandwidth(
  db: Db,
  workflows: Workflows,
  migrationId: MigrationId,
  maxBandwidthBytes: number | null,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const move = await tx
      .selectFrom('migration')
      .select(['type', 'phase', 'status', 'finished_at'])
      .where('id', '=', migrationId)
      .forUpdate()
      .executeTakeFirst();
    if (move === undefined || move.type !== 'live-migration')
      throw new GodwitError('MigrationNotFound', `Migration ${migrationId} could not be found.`);
    if (move.finished_at !== null || move.phase === 'switchover' || move.phase === 'committing')
      throw new GodwitError('InvalidMigrationState', `Migration ${migrationId} is ${move.status}: nothing is copied any more.`);
    await tx
      .updateTable('migration')
      .set((eb) => ({ max_bandwidth_bytes: maxBandwidthBytes, policy_version: eb('policy_version', '+', 1) }))
      .where('id', '=', migrationId)
      .execute();
    await workflows.wake(tx, migrationId);
  });
}

/** Caps what migrations may use of a host's link, also those under way; null: all of it. Throws HostNotFound. */
export async function acceptLinkBandwidth(db: Db, workflows: Workflows, hostName: string, bytesPerSecond: number | null): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const host = await tx
      .updateTable('host')
      .set({ migration_bandwidth_bytes: bytesPerSecond, updated_at: new Date() })
      .where('name', '=', hostName)
      .where('deleted_at', 'is', null)
      .returning('id')
      .executeTakeFirst();
    if (host === undefined) throw new GodwitError('HostNotFound', `Compute host ${hostName.slice(0, 255)} could not be found.`);
    const running = await tx
      .updateTable('migration')
      .set((eb) => ({ policy_version: eb('policy_version', '+', 1) }))
      .where('finished_at', 'is', null)
      .where('type', '=', 'live-migration')
      .where((eb) => eb.or([eb('source_host_id', '=', host.id), eb('destination_host_id', '=', host.id)]))
      .returning('id')
      .execute();
    for (const { id } of running) await workflows.wake(tx, id);
  });
}
