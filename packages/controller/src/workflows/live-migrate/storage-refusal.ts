import type { ServerId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';

export type StorageRefusal = { readonly code: 'InvalidLocalStorage' | 'InvalidSharedStorage'; readonly message: string };

/**
 * Why a request's `block_migration` contradicts the server's disks; null when it does not. `auto` never does: it copies the disks in local pools and leaves shared ones. `true`
 * does the same, but wants at least one to copy; `false` wants none.
 */
export async function storageRefusal(db: Db, serverId: ServerId, blockMigration: boolean | 'auto'): Promise<StorageRefusal | null> {
  if (blockMigration === 'auto') return null;
  const disks = await db.selectFrom('disk').select(['storage', 'pool']).where('server_id', '=', serverId).execute();
  const local = disks.find((disk) => disk.storage === 'local');
  if (!blockMigration && local !== undefined)
    return {
      code: 'InvalidSharedStorage',
      message: `Instance ${serverId} is not on shared storage: it has a disk in the local pool ${local.pool}, and live migration cannot be used without block migration.`,
    };
  if (blockMigration && local === undefined && disks.length > 0)
    return {
      code: 'InvalidLocalStorage',
      message: `Instance ${serverId} is on shared storage: block migration cannot be used with shared storage.`,
    };
  return null;
}

/** The request's word, out of the record. */
export const requestedBlockMigration = (word: 'auto' | 'true' | 'false'): boolean | 'auto' => (word === 'auto' ? 'auto' : word === 'true');
