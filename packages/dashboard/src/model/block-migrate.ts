import { formatBytes } from './formats.ts';

/** How the Block Migrate checkbox stands for a server: preset, whether it can be changed, and the sentence beside it. */
export type BlockMigrate = { readonly checked: boolean; readonly disabled: boolean; readonly sentence: string };

/**
 * On for local disks, with what there is to copy; off and fixed for shared ones. A server without disks has nothing to copy; while the disks are not known
 * yet nothing is claimed.
 */
export function blockMigrateOf(
  disks: readonly { readonly storage: 'shared' | 'local'; readonly sizeBytes: number }[] | null,
): BlockMigrate {
  if (disks === null) return { checked: false, disabled: true, sentence: 'Looking at the disks…' };
  const local = disks.filter((disk) => disk.storage === 'local');
  if (local.length > 0) {
    const bytes = local.reduce((sum, disk) => sum + disk.sizeBytes, 0);
    return {
      checked: true,
      disabled: false,
      sentence: `${local.length === 1 ? 'One local disk' : `${local.length} local disks`}: up to ${formatBytes(bytes)} to copy.`,
    };
  }
  if (disks.length === 0) return { checked: false, disabled: true, sentence: 'The instance has no disks: nothing to copy.' };
  return { checked: false, disabled: true, sentence: 'All disks are on shared storage: every host reaches them, nothing to copy.' };
}

/** What the request says: the operator's own choice where there was one to make, else what the API finds out itself. */
export const blockMigrationValue = (preset: BlockMigrate, checked: boolean): boolean | 'auto' => (preset.disabled ? 'auto' : checked);
