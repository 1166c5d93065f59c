import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Pool } from '../../storage/pool.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { createGuestDisks } from './guest-disks.ts';

const serverId = '11111111-1111-4111-8111-111111111111';
const guest = {
  serverId,
  directBoot: null,
  disks: [{ diskId: 'root', pool: 'p', format: 'raw', sizeBytes: 4096, image: null, exists: true }],
} as unknown as WantedGuest;
const fetch = () => Promise.reject(new Error('nothing is to be fetched'));

let dir: string;
let pools: ReadonlyMap<string, Pool>;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gw-guest-disks-'));
  await mkdir(join(dir, 'disks'));
  pools = new Map([['p', { name: 'p', kind: 'shared', path: dir, poolId: 'x', io: { directIo: true } }]]);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('a disk that the guest has run with is never made anew', async () => {
  await expect(createGuestDisks(guest, pools, fetch)).rejects.toMatchObject({ code: 'NotFound' });
  expect(await readdir(join(dir, 'disks'))).toEqual([]);
});

test('and is found where it is', async () => {
  await mkdir(join(dir, 'disks', serverId));
  const path = join(dir, 'disks', serverId, 'root.raw');
  await writeFile(path, Buffer.alloc(4096, 3));
  await createGuestDisks(guest, pools, fetch);
  expect((await readFile(path)).equals(Buffer.alloc(4096, 3))).toBe(true);
});
