import type { HostId, ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';

/** The guest has run, or may have, with the disks that moves have left at the host: they are no copy that may be deleted when the host is back. */
export async function keepDisksAt(tx: Db, serverId: ServerId, hostId: HostId): Promise<void> {
  await sql`${later}update migration set disks_left_at = array_remove(disks_left_at, ${hostId}::uuid)
    where server_id = ${serverId} and ${hostId}::uuid = any(disks_left_at)`.execute(tx);
}
