import {
  closeSync,
  fdatasync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { HostCustody } from '@godwit/domain/custody/host-custody';
import type { JournalRecord } from '@godwit/domain/custody/journal-record';
import { compacted, recover } from '@godwit/domain/custody/recover';
import type { BootId, HostId, ServerId } from '@godwit/domain/ids';
import { JournalError } from './journal-error.ts';
import { encodeEntry, type JournalEntry } from './journal-line.ts';
import { readJournal } from './read-journal.ts';

export type CustodyJournal = {
  /** What the records say about every server that they name, as `recover` left it. */
  readonly recovered: ReadonlyMap<ServerId, HostCustody>;
  /** What they say about one server now, every append included. */
  state(serverId: ServerId): HostCustody;
  /**
   * Returns when the record survives the death of this process (`plain`: no await, it is in the kernel), or a power loss (`fsync`).
   * Throws JournalError: nothing may then be done that the record was to precede.
   */
  append(serverId: ServerId, record: JournalRecord, durability: 'plain' | 'fsync'): undefined | Promise<void>;
  /** Length of the file, and how much of it a power loss cannot take. */
  readonly bytes: number;
  readonly syncedBytes: number;
  close(): void;
};

export type JournalOptions = {
  readonly path: string;
  readonly hostId: HostId;
  readonly bootId: BootId;
  /** For laboratories: keep the synced length in `<path>.synced`, so that a simulated power loss can cut the rest off. */
  readonly noteSynced?: boolean;
  /** What the journal's promises rest on; absent: the kernel's own. */
  readonly disk?: JournalDisk;
};

export type JournalDisk = {
  readonly writeSync: (fd: number, bytes: Buffer, offset: number, length: number, position: number) => number;
  readonly ftruncateSync: (fd: number, length: number) => void;
  readonly fdatasync: typeof fdatasync;
  readonly fsyncSync: (fd: number) => void;
};

const kernel: JournalDisk = { writeSync, ftruncateSync, fdatasync, fsyncSync };

/**
 * Opens this host's custody journal, makes it if absent, cuts off a torn tail, and rewrites it as one record per server. One process at a time. Throws JournalError
 * when a promise in it cannot be read, or when it is another host's: then this host may not act at all.
 */
export function openJournal(options: JournalOptions): CustodyJournal {
  mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 });
  const entries = existing(options);
  const states = new Map<ServerId, HostCustody>();
  const perServer = Map.groupBy(
    entries.filter((entry) => entry.kind === 'record'),
    ({ serverId }) => serverId,
  );
  for (const [serverId, records] of perServer)
    states.set(
      serverId,
      recover(
        records.map(({ record }) => record),
        serverId,
        options.hostId,
        options.bootId,
      ),
    );
  return new Journal(options, states);
}

function existing({ path, hostId }: JournalOptions): readonly JournalEntry[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const { entries } = readJournal(bytes);
  const header = entries[0];
  if (header === undefined) {
    // A journal comes into being by a rename, whole: one without its first line is damaged, unless it is empty.
    if (bytes.length === 0) return [];
    throw new JournalError('journal-corrupt', 'the first line is not readable');
  }
  if (header.kind !== 'header' || header.version !== 1 || header.hostId !== hostId)
    throw new JournalError('journal-foreign', header.kind === 'header' ? `host ${header.hostId}, version ${header.version}` : 'no header');
  return entries;
}

class Journal implements CustodyJournal {
  readonly recovered: ReadonlyMap<ServerId, HostCustody>;
  readonly #options: JournalOptions;
  readonly #disk: JournalDisk;
  readonly #flush: (fd: number) => Promise<void>;
  readonly #records = new Map<ServerId, JournalRecord[]>();
  readonly #fd: number;
  #bytes: number;
  #syncedBytes: number;
  #seq: number;
  #broken: Error | null = null;
  #noteFd: number | null = null;

  constructor(options: JournalOptions, states: ReadonlyMap<ServerId, HostCustody>) {
    this.#options = options;
    this.#disk = options.disk ?? kernel;
    this.#flush = promisify(this.#disk.fdatasync);
    this.recovered = states;
    let text = encodeEntry({ seq: 0, kind: 'header', version: 1, hostId: options.hostId });
    this.#seq = 1;
    for (const [serverId, state] of states) {
      const record = compacted(state);
      this.#records.set(serverId, [record]);
      text += encodeEntry({ seq: this.#seq, kind: 'record', serverId, synced: true, record });
      this.#seq += 1;
    }
    replaceDurably(options.path, text, this.#disk.fsyncSync);
    this.#fd = openSync(options.path, 'r+');
    this.#bytes = Buffer.byteLength(text);
    this.#syncedBytes = this.#bytes;
    this.#noteSynced();
  }

  get bytes(): number {
    return this.#bytes;
  }

  get syncedBytes(): number {
    return this.#syncedBytes;
  }

  state(serverId: ServerId): HostCustody {
    return recover(this.#records.get(serverId) ?? [], serverId, this.#options.hostId, this.#options.bootId);
  }

  append(serverId: ServerId, record: JournalRecord, durability: 'plain' | 'fsync'): undefined | Promise<void> {
    this.#write(serverId, record, durability === 'fsync');
    return durability === 'fsync' ? this.#sync() : undefined;
  }

  close(): void {
    this.#broken ??= new Error('closed');
    closeSync(this.#fd);
    if (this.#noteFd !== null) closeSync(this.#noteFd);
  }

  #write(serverId: ServerId, record: JournalRecord, synced: boolean): void {
    if (this.#broken !== null) throw new JournalError('journal-broken', this.#broken.message, { cause: this.#broken });
    const line = Buffer.from(encodeEntry({ seq: this.#seq, kind: 'record', serverId, synced, record }));
    try {
      const written = this.#disk.writeSync(this.#fd, line, 0, line.length, this.#bytes);
      if (written !== line.length) throw new Error(`${written} of ${line.length} bytes fit`);
    } catch (error) {
      // Half a line before a whole one would be damage in the middle.
      try {
        this.#disk.ftruncateSync(this.#fd, this.#bytes);
      } catch (again) {
        this.#broken = again as Error;
      }
      throw new JournalError('journal-write-failed', (error as Error).message, { cause: error });
    }
    this.#bytes += line.length;
    this.#seq += 1;
    const records = this.#records.get(serverId);
    if (records === undefined) this.#records.set(serverId, [record]);
    else records.push(record);
  }

  async #sync(): Promise<void> {
    const through = this.#bytes;
    try {
      await this.#flush(this.#fd);
    } catch (error) {
      // After a failed fsync the kernel may call lost pages clean: only reading the file again tells the truth.
      this.#broken = error as Error;
      throw new JournalError('journal-write-failed', (error as Error).message, { cause: error });
    }
    if (through > this.#syncedBytes) this.#syncedBytes = through;
    this.#noteSynced();
  }

  #noteSynced(): void {
    if (!this.#options.noteSynced) return;
    // Always the same block, written over: a note that a full disk refuses would break a promise that was kept, and an empty one would take it back.
    this.#noteFd ??= openSync(`${this.#options.path}.synced`, 'w');
    writeSync(this.#noteFd, String(this.#syncedBytes).padEnd(20), 0);
  }
}

/** The file is the old text or the new one, whatever happens meanwhile. */
function replaceDurably(path: string, text: string, sync: JournalDisk['fsyncSync']): void {
  const next = `${path}.new`;
  rmSync(next, { force: true });
  const fd = openSync(next, 'wx', 0o600);
  try {
    writeFileSync(fd, text);
    sync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(next, path);
  const folder = openSync(dirname(path), 'r');
  try {
    sync(folder);
  } finally {
    closeSync(folder);
  }
}
