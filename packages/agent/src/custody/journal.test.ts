import {
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostCustody } from '@godwit/domain/custody/host-custody';
import type { JournalRecord } from '@godwit/domain/custody/journal-record';
import { recover } from '@godwit/domain/custody/recover';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CustodyJournal, type JournalDisk, openJournal } from './journal.ts';
import { JournalError } from './journal-error.ts';

const hostId = as<HostId>('h');
const bootId = as<BootId>('boot-1');
const servers = ['s1', 's2'].map((name) => as<ServerId>(name));
const process = { pid: 7, startTicks: 70 };

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-journal-'));
  path = join(dir, 'custody', 'journal');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (boot: BootId = bootId): CustodyJournal => openJournal({ path, hostId, bootId: boot, noteSynced: true });

const grant = (epoch: number): JournalRecord => ({
  kind: 'grant',
  grant: {
    serverId: as<ServerId>('s1'),
    migrationId: as<MigrationId>('m'),
    source: as<HostId>('other'),
    destination: hostId,
    epoch: asEpoch(epoch),
    previousEpoch: asEpoch(0),
    fence: asFence(1),
    endState: 'running',
    bootId,
    postCopy: false,
  },
});

const epochs = fc.integer({ min: 1, max: 6 });
const records: fc.Arbitrary<JournalRecord> = fc.oneof(
  epochs.map(grant),
  epochs.map((epoch): JournalRecord => ({ kind: 'bound', epoch: asEpoch(epoch), process })),
  epochs.map((epoch): JournalRecord => ({ kind: 'taking', epoch: asEpoch(epoch), bootId, process })),
  epochs.map((epoch): JournalRecord => ({ kind: 'taken', epoch: asEpoch(epoch) })),
  epochs.map((epoch): JournalRecord => ({ ...grant(epoch), kind: 'armed' }) as JournalRecord),
  fc
    .tuple(epochs, fc.constantFrom('aborted', 'ended', 'forfeited'))
    .map(([epoch, because]) => ({ kind: 'disarmed', epoch: asEpoch(epoch), because }) as JournalRecord),
  epochs.map((epoch): JournalRecord => ({ kind: 'forfeited', epoch: asEpoch(epoch) })),
  epochs.map((epoch): JournalRecord => ({ kind: 'destroyed', epoch: asEpoch(epoch) })),
  epochs.map((epoch): JournalRecord => ({ kind: 'census', floor: asEpoch(epoch) })),
  epochs.map((fence): JournalRecord => ({ kind: 'fence', fence: asFence(fence) })),
);
const appends = fc.array(
  fc.record({ server: fc.constantFrom(...servers), record: records, durability: fc.constantFrom('plain' as const, 'fsync' as const) }),
  {
    maxLength: 12,
  },
);

/** Both as the journal keeps them: undefined and absent are one. */
const plain = (states: ReadonlyMap<ServerId, HostCustody>) =>
  JSON.parse(JSON.stringify([...states].sort(([a], [b]) => (a < b ? -1 : 1)))) as unknown;
const expected = (written: readonly { server: ServerId; record: JournalRecord }[], boot: BootId = bootId) =>
  plain(
    new Map(
      servers
        .filter((server) => written.some((one) => one.server === server))
        .map((server) => [
          server,
          recover(
            written.filter((one) => one.server === server).map(({ record }) => record),
            server,
            hostId,
            boot,
          ),
        ]),
    ),
  );

test('a torn end loses only what was being written; a power loss only what was not synced; compaction changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(appends, fc.nat(400), fc.boolean(), async (list, cut, power) => {
      rmSync(dir, { recursive: true, force: true });
      const journal = open();
      const ends: number[] = [];
      let syncedCount = 0;
      for (const [at, { server, record, durability }] of list.entries()) {
        await journal.append(server, record, durability);
        ends.push(journal.bytes);
        if (durability === 'fsync') syncedCount = at + 1;
      }
      const { syncedBytes, bytes } = journal;
      journal.close();
      expect(Number(readFileSync(`${path}.synced`, 'utf8'))).toBe(syncedBytes);
      const length = power ? syncedBytes : Math.max(syncedBytes, bytes - cut);
      truncateSync(path, length);
      const kept = list.slice(0, ends.filter((end) => end <= length).length);
      expect(kept.length).toBeGreaterThanOrEqual(syncedCount);
      const boot = power ? as<BootId>('boot-2') : bootId;
      const again = open(boot);
      expect(plain(again.recovered)).toEqual(expected(kept, boot));
      again.close();
      // Compacted by the opening before; says the same, in this boot and the next.
      const third = open(boot);
      expect(plain(third.recovered)).toEqual(expected(kept, boot));
      third.close();
      const fourth = open(as<BootId>('boot-3'));
      expect(plain(fourth.recovered)).toEqual(expected(kept, as<BootId>('boot-3')));
      fourth.close();
    }),
    { numRuns: 60 },
  );
});

test('what is appended after a recovery follows what was there', async () => {
  const first = open();
  await first.append(as<ServerId>('s1'), grant(1), 'fsync');
  first.close();
  const second = open();
  void second.append(as<ServerId>('s1'), { kind: 'bound', epoch: asEpoch(1), process }, 'plain');
  void second.append(as<ServerId>('s1'), { kind: 'taking', epoch: asEpoch(1), bootId, process }, 'plain');
  expect(second.state(as<ServerId>('s1')).copy).toMatchObject({ kind: 'held', alive: true, settled: false });
  second.close();
  const third = open(as<BootId>('boot-2'));
  expect(third.recovered.get(as<ServerId>('s1'))?.copy).toMatchObject({ kind: 'held', alive: false });
  third.close();
});

test('damage before a synced record is refused, and nothing is changed', async () => {
  const journal = open();
  await journal.append('s1' as ServerId, grant(1), 'fsync');
  await journal.append('s1' as ServerId, { kind: 'forfeited', epoch: asEpoch(1) }, 'fsync');
  journal.close();
  const bytes = readFileSync(path);
  bytes[bytes.indexOf(0x0a) + 20] = 0x00;
  writeFileSync(path, bytes);
  expect(() => open()).toThrow(JournalError);
  expect(() => open()).toThrow(/journal|promised/);
  expect(readFileSync(path)).toEqual(bytes);
});

test('damage among unsynced records is a torn end, even when a later one reached the disk', async () => {
  const journal = open();
  await journal.append('s1' as ServerId, grant(1), 'fsync');
  const { bytes: good } = journal;
  void journal.append('s1' as ServerId, { kind: 'bound', epoch: asEpoch(1), process }, 'plain');
  void journal.append('s1' as ServerId, { kind: 'fence', fence: asFence(9) }, 'plain');
  journal.close();
  const bytes = readFileSync(path);
  bytes[good + 15] = 0x00;
  writeFileSync(path, bytes);
  const again = open();
  expect(again.recovered.get('s1' as ServerId)).toMatchObject({ fence: 0, copy: { kind: 'granted', process: null } });
  again.close();
});

test("another host's journal, and one without its first line, are refused", () => {
  open().close();
  expect(() => openJournal({ path, hostId: as<HostId>('another'), bootId })).toThrow(expect.objectContaining({ code: 'journal-foreign' }));
  writeFileSync(path, 'something else\n');
  expect(() => open()).toThrow(expect.objectContaining({ code: 'journal-corrupt' }));
});

test('a closed journal promises nothing more', () => {
  const journal = open();
  journal.close();
  const before = statSync(path).size;
  expect(() => journal.append('s1' as ServerId, grant(1), 'plain')).toThrow(expect.objectContaining({ code: 'journal-broken' }));
  expect(statSync(path).size).toBe(before);
});

/** The kernel's own, with what a test puts in its place. */
const openOn = (disk: Partial<JournalDisk>): CustodyJournal =>
  openJournal({ path, hostId, bootId, noteSynced: true, disk: { writeSync, ftruncateSync, fdatasync, fsyncSync, ...disk } });
const forfeited: JournalRecord = { kind: 'forfeited', epoch: asEpoch(1) };
const s1 = as<ServerId>('s1');

test('a synced record is answered only after the disk has answered for its bytes, and a plain one asks the disk for nothing', async () => {
  const asked: { readonly bytes: number; readonly answer: (error: Error | null) => void }[] = [];
  const journal = openOn({
    fdatasync: ((fd: number, answer: (error: Error | null) => void) =>
      asked.push({ bytes: fstatSync(fd).size, answer })) as unknown as JournalDisk['fdatasync'],
  });
  const before = journal.syncedBytes;
  expect(journal.append(s1, grant(1), 'plain')).toBeUndefined();
  expect(asked).toHaveLength(0);
  let durable = false;
  const synced = journal.append(s1, forfeited, 'fsync')?.then(() => {
    durable = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toHaveLength(1);
  expect(asked[0]?.bytes).toBe(journal.bytes);
  expect([durable, journal.syncedBytes]).toEqual([false, before]);
  asked[0]?.answer(null);
  await synced;
  expect([durable, journal.syncedBytes]).toEqual([true, journal.bytes]);
  journal.close();
});

test('after a sync that failed nothing is promised any more, and the next agent reads what the file says', async () => {
  const journal = openOn({
    fdatasync: ((_fd: number, answer: (error: Error) => void) => answer(new Error('EIO'))) as unknown as JournalDisk['fdatasync'],
  });
  const before = journal.syncedBytes;
  await expect(journal.append(s1, grant(1), 'fsync')).rejects.toMatchObject({ code: 'journal-write-failed' });
  expect(journal.syncedBytes).toBe(before);
  expect(() => journal.append(s1, forfeited, 'plain')).toThrow(expect.objectContaining({ code: 'journal-broken' }));
  journal.close();
  const again = open();
  expect(again.recovered.get(s1)?.copy).toMatchObject({ kind: 'granted' });
  again.close();
});

test('a record of which only a part could be written was not written: it is taken back, said so, and the next one follows whole', async () => {
  let room = Number.POSITIVE_INFINITY;
  const journal = openOn({
    writeSync: (fd, bytes, offset, length, position) => writeSync(fd, bytes, offset, Math.min(length, room), position),
  });
  await journal.append(s1, grant(1), 'fsync');
  const { bytes } = journal;
  room = 17;
  for (const durability of ['plain', 'fsync'] as const)
    expect(() => journal.append(s1, forfeited, durability)).toThrow(expect.objectContaining({ code: 'journal-write-failed' }));
  expect([journal.bytes, statSync(path).size]).toEqual([bytes, bytes]);
  expect(journal.state(s1).copy.kind).toBe('granted');
  room = Number.POSITIVE_INFINITY;
  await journal.append(s1, forfeited, 'fsync');
  journal.close();
  const again = open();
  expect(again.recovered.get(s1)).toMatchObject({ copy: { kind: 'none' }, refusedThrough: 1 });
  again.close();
});

test('a part of a record that cannot be taken back is the end of the journal', () => {
  const journal = openOn({
    writeSync: (fd, bytes, offset, _length, position) => writeSync(fd, bytes, offset, 17, position),
    ftruncateSync: () => {
      throw new Error('EIO');
    },
  });
  expect(() => journal.append(s1, grant(1), 'plain')).toThrow(expect.objectContaining({ code: 'journal-write-failed' }));
  expect(() => journal.append(s1, grant(1), 'plain')).toThrow(expect.objectContaining({ code: 'journal-broken' }));
  journal.close();
});

test('a rewritten journal is on the disk before it takes the place of the old one, and its name after that', async () => {
  const first = open();
  await first.append(s1, grant(1), 'fsync');
  first.close();
  const old = readFileSync(path, 'utf8');
  const seen: unknown[] = [];
  const journal = openOn({
    fsyncSync: (fd) => {
      seen.push(
        fstatSync(fd).isDirectory()
          ? ['folder', existsSync(`${path}.new`)]
          : ['file', fstatSync(fd).size, readFileSync(path, 'utf8') === old],
      );
      fsyncSync(fd);
    },
  });
  expect(seen).toEqual([
    ['file', journal.bytes, true],
    ['folder', false],
  ]);
  journal.close();
});
