import { readdir, readFile, truncate } from 'node:fs/promises';
import path from 'node:path';

/** Beside a journal `x` an agent run with `modelPowerLoss` keeps `x.synced`: how many of its bytes an fsync has returned for, in decimal. */
export const syncedSuffix = '.synced';

/**
 * What a power loss does to a host's journals: every byte that no fsync has covered is gone. The lab's hosts share one
 * kernel and its page cache survives a SIGKILL, so without this every journal would look synced. Files without such a
 * note are left as they are. Returns the files that were cut.
 */
export async function dropUnsyncedBytes(stateDir: string): Promise<readonly string[]> {
  const entries = await readdir(stateDir, { recursive: true, withFileTypes: true }).catch(() => []);
  const cut: string[] = [];
  for (const entry of entries) {
    if (!entry.isFile() || !entry.name.endsWith(syncedSuffix)) continue;
    const note = path.join(entry.parentPath, entry.name);
    const journal = note.slice(0, -syncedSuffix.length);
    const synced = Number((await readFile(note, 'utf8')).trim());
    // A note cut short by the kill says less than was synced at worst; one that says nothing proves nothing was.
    const keep = Number.isSafeInteger(synced) && synced >= 0 ? synced : 0;
    const size = (await readFile(journal).catch(() => undefined))?.length;
    if (size !== undefined && size > keep) {
      await truncate(journal, keep);
      cut.push(journal);
    }
  }
  return cut;
}
