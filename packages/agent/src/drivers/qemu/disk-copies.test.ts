import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Copy, HostCustody } from '@godwit/domain/custody/host-custody';
import { as, asEpoch, asFence, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DiskChunk } from '../../storage/disk-stream.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { DiskCopies } from './disk-copies.ts';
import type { QemuHost } from './qemu-host.ts';

const serverId = as<ServerId>('11111111-1111-4111-8111-111111111111');
const migration = as<MigrationId>('22222222-2222-4222-8222-222222222222');
const [friend, stranger] = [as<HostId>('33333333-3333-4333-8333-333333333333'), as<HostId>('44444444-4444-4444-8444-444444444444')];
const authority = (epoch = 5, fence = 9) => ({ serverId, epoch: asEpoch(epoch), fence: asFence(fence) });
const guest = (pool = 'local'): WantedGuest =>
  ({ serverId, disks: [{ diskId: 'root', pool, format: 'raw', sizeBytes: 4096, image: null }] }) as unknown as WantedGuest;
const running = { kind: 'held', alive: true } as Copy;
const stopped = { kind: 'held', alive: false } as Copy;

let dir: string;
let state: Pick<HostCustody, 'copy' | 'fence' | 'knownEpoch'>;
let copies: DiskCopies;
let clearing: PromiseWithResolvers<void>;
let did: unknown[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gw-disk-copies-'));
  await mkdir(join(dir, 'disks', serverId), { recursive: true });
  await writeFile(join(dir, 'disks', serverId, 'root.raw'), Buffer.alloc(4096, 7));
  state = { copy: stopped, fence: asFence(9), knownEpoch: asEpoch(5) };
  const pool = (name: string, kind: string) => [name, { name, kind, path: dir }] as const;
  clearing = Promise.withResolvers();
  did = [];
  const host = {
    custody: { state: () => state, feed: async (_server: ServerId, event: unknown) => did.push(event) },
    pools: new Map([pool('local', 'local'), pool('shared', 'shared')]),
    get identity(): never {
      throw new Error('the source is asked');
    },
  };
  copies = new DiskCopies(host as unknown as QemuHost, () => {
    did.push('waits');
    return clearing.promise;
  });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const all = async (from: HostId, id = migration): Promise<readonly DiskChunk[]> => {
  const chunks: DiskChunk[] = [];
  for await (const chunk of copies.read(from, id, 'root')) chunks.push(chunk);
  return chunks;
};

test('the host that a disk is offered to reads it, and no other', async () => {
  expect(await copies.offer(authority(), migration, friend, guest())).toBe(4096);
  const chunks = await all(friend);
  expect(chunks.map(({ offset, data, fileBytes }) => [offset, data.length, fileBytes])).toEqual([
    [0, 4096, 4096],
    [4096, 0, 4096],
  ]);
  await expect(all(stranger)).rejects.toMatchObject({ code: 'Forbidden' });
  await expect(all(friend, as<MigrationId>(serverId))).rejects.toMatchObject({ code: 'NotFound' });
});

test.each([
  ['a guest that runs', () => ({ copy: running }), 'custody-not-stopped'],
  ['a grant that was given', () => ({ copy: { kind: 'granted' } as Copy }), 'custody-not-stopped'],
  ['a newer epoch', () => ({ knownEpoch: asEpoch(6) }), 'custody-epoch-stale'],
  ['a newer executor', () => ({ fence: asFence(10) }), 'custody-fence-low'],
] as const)('%s: nothing is offered, and nothing is written', async (_name, change, code) => {
  state = { ...state, ...change() };
  await expect(copies.offer(authority(), migration, friend, guest())).rejects.toMatchObject({ refusal: { code } });
  const source = { hostId: friend, address: '127.0.0.1', rpcPort: 1 };
  await expect(copies.fetch(authority(), migration, source, guest(), () => {})).rejects.toMatchObject({ refusal: { code } });
});

test('a guest that starts while its disk is read makes the copy worthless', async () => {
  await copies.offer(authority(), migration, friend, guest());
  const reading = copies.read(friend, migration, 'root')[Symbol.asyncIterator]();
  expect((await reading.next()).done).toBe(false);
  state = { ...state, copy: running };
  await expect(reading.next()).rejects.toMatchObject({ refusal: { code: 'custody-not-stopped' } });
});

test('disks of shared pools, and disks that are not there, are not offered', async () => {
  await expect(copies.offer(authority(), migration, friend, guest('shared'))).rejects.toMatchObject({ code: 'InvalidSharedStorage' });
  await rm(join(dir, 'disks', serverId, 'root.raw'));
  await expect(copies.offer(authority(), migration, friend, guest())).rejects.toMatchObject({ code: 'NotFound' });
});

test('nothing is fetched before what an order of before still deletes by the same names is gone, and none is obeyed any more', async () => {
  const fetching = copies.fetch(authority(), migration, { hostId: friend, address: '127.0.0.1', rpcPort: 1 }, guest(), () => {});
  const outcome = fetching.catch((error: Error) => did.push(error.message));
  await new Promise(setImmediate);
  expect(did).toEqual([{ kind: 'census', fence: 9, floor: 0 }, 'waits']);
  clearing.resolve();
  await outcome;
  expect(did.at(-1)).toBe('the source is asked');
});
