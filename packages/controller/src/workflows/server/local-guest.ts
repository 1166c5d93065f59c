import type { Guest } from '@godwit/contract/gen/guest_pb';
import type { ServerId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import { wireGuest } from './wire-guest.ts';

/** The guest with only those disks that exist on one host alone; null when there are none. */
export async function localGuest(db: Db, serverId: ServerId): Promise<Guest | null> {
  const local = await db.selectFrom('disk').select('id').where('server_id', '=', serverId).where('storage', '=', 'local').execute();
  if (local.length === 0) return null;
  const ids = new Set(local.map(({ id }) => id));
  const guest = await wireGuest(db, serverId);
  return { ...guest, disks: guest.disks.filter((disk) => ids.has(disk.diskId)) };
}
