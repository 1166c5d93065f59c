import { GodwitError } from '@godwit/domain/errors';
import { recordEvent } from '../events/record-event.ts';
import type { Db } from '../store/database.ts';

/**
 * Takes a host out of the cloud, and out of its aggregates. Throws Conflict while servers live there or anything holds resources there (a move in either direction, a
 * VERIFY_RESIZE), NotFound when it is gone already. Under the host's row lock, which every claim takes too: no server arrives in between.
 */
export async function deleteHost(db: Db, hostId: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const host = await tx
      .selectFrom('host')
      .select(['name'])
      .where('id', '=', hostId)
      .where('deleted_at', 'is', null)
      .forUpdate()
      .executeTakeFirst();
    if (host === undefined) throw new GodwitError('NotFound', `Compute host ${hostId} could not be found.`);
    const server = await tx
      .selectFrom('server')
      .select('id')
      .where('host_id', '=', hostId)
      .where('deleted_at', 'is', null)
      .limit(1)
      .executeTakeFirst();
    if (server !== undefined)
      throw new GodwitError(
        'Conflict',
        'Unable to delete compute service that is hosting instances. Migrate or delete the instances first.',
      );
    const moving = await tx
      .selectFrom('migration')
      .select('id')
      .where('finished_at', 'is', null)
      .where((eb) => eb.or([eb('source_host_id', '=', hostId), eb('destination_host_id', '=', hostId)]))
      .limit(1)
      .executeTakeFirst();
    const held = await tx.selectFrom('allocation').select('consumer_id').where('host_id', '=', hostId).limit(1).executeTakeFirst();
    if (moving !== undefined || held !== undefined) {
      throw new GodwitError(
        'Conflict',
        'Unable to delete compute service that has in-progress migrations. Complete the migrations or delete the instances first.',
      );
    }
    await tx.deleteFrom('aggregate_host').where('host_id', '=', hostId).execute();
    await tx
      .updateTable('host')
      .set({ deleted_at: new Date(), reachable: false, updated_at: new Date() })
      .where('id', '=', hostId)
      .execute();
    await recordEvent(tx, { kind: 'host', subjectId: hostId, projectId: null, data: { id: hostId, name: host.name, deleted: true } });
  });
}
