import type { DisksFate } from '@godwit/domain/custody/disks-fate';
import type { ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';

/** Writes down, in the transaction of the step that decided it, what becomes of disks at a host: which of them `clearCopiedDisks` may delete. Disks that every host reaches are nobody's leftovers. */
export async function writeDisksFate(tx: Db, serverId: ServerId, fate: DisksFate): Promise<void> {
  const { hostId } = fate;
  if (fate.kind === 'leftover')
    await sql`${later}update migration set disks_left_at = array_append(array_remove(disks_left_at, ${hostId}::uuid), ${hostId}::uuid)
      where id = ${fate.migrationId} and block_migration <> 'false' and exists (select from disk where server_id = ${serverId} and storage = 'local')`.execute(
      tx,
    );
  else
    await sql`${later}update migration set disks_left_at = array_remove(disks_left_at, ${hostId}::uuid),
        source_disks_left = source_disks_left and source_host_id is distinct from ${hostId}::uuid
      where server_id = ${serverId} and (${hostId}::uuid = any(disks_left_at) or (source_disks_left and source_host_id = ${hostId}::uuid))`.execute(
      tx,
    );
}
