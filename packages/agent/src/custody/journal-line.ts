import { crc32 } from 'node:zlib';
import type { JournalRecord } from '@godwit/domain/custody/journal-record';
import type { HostId, ServerId } from '@godwit/domain/ids';

/** One line of the journal: eight hex digits of CRC-32 over the rest, a space, JSON, a newline. */
export type JournalEntry =
  | { readonly seq: number; readonly kind: 'header'; readonly version: 1; readonly hostId: HostId }
  /** `synced`: its promise was to be fsynced before it was answered. */
  | {
      readonly seq: number;
      readonly kind: 'record';
      readonly serverId: ServerId;
      readonly synced: boolean;
      readonly record: JournalRecord;
    };

export function encodeEntry(entry: JournalEntry): string {
  const json = JSON.stringify(entry);
  return `${checksum(json)} ${json}\n`;
}

/** The entry, or null when the line is damaged. */
export function decodeEntry(line: string): JournalEntry | null {
  const json = line.slice(9);
  if (line[8] !== ' ' || line.slice(0, 8) !== checksum(json)) return null;
  try {
    return JSON.parse(json) as JournalEntry;
  } catch {
    return null; // a checksum that fits text that is no JSON: not written by us
  }
}

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');
