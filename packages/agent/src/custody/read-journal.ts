import { JournalError } from './journal-error.ts';
import type { JournalEntry } from './journal-line.ts';
import { decodeEntry } from './journal-line.ts';

export type JournalContent = {
  readonly entries: readonly JournalEntry[];
  /** Bytes up to the end of the last good line; what follows is a torn tail. */
  readonly goodBytes: number;
};

/**
 * Reads a journal's bytes. A damaged line is a torn tail, and is dropped with all that follows, if no good line after it was a promise to be kept over
 * a power loss: unsynced lines may reach the disk in any order. Otherwise throws JournalError `journal-corrupt`.
 */
export function readJournal(bytes: Buffer): JournalContent {
  const entries: JournalEntry[] = [];
  let goodBytes = 0;
  let damagedAt = -1;
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    const entry = newline === -1 ? null : decodeEntry(bytes.toString('utf8', start, end));
    const fits = entry !== null && entry.seq === entries.length + (entries[0]?.seq ?? entry.seq);
    if (damagedAt === -1) {
      if (fits) {
        entries.push(entry);
        goodBytes = end + 1;
      } else damagedAt = start;
    }
    if (damagedAt !== -1 && entry?.kind === 'record' && entry.synced)
      throw new JournalError('journal-corrupt', `byte ${damagedAt}, before record ${entry.seq}`);
    start = end + 1;
  }
  return { entries, goodBytes };
}
