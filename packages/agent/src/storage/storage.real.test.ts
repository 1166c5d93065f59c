import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { DiskSpec } from '@godwit/domain/guest-spec';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { consoleDirOf, createDisk, deleteDisk, deleteServerDisks, diskFacts, growDisk, serversWithDisks } from './disk-store.ts';
import { cacheImage, type ImageRef, sweepPartialImages } from './image-cache.ts';
import { inspectImage } from './inspect-image.ts';
import { openPool, type Pool, poolFacts } from './pool.ts';

const server = '11111111-1111-4111-8111-111111111111';
const mib = 1024 * 1024;
let root: string;
let pool: Pool;

beforeEach(async () => {
  root = mkdtempSync('/tmp/gw-s-');
  pool = await openPool({ name: 'main', kind: 'shared', path: root });
});
afterEach(() => rmSync(root, { recursive: true }));

const img = (...args: string[]): string => execFileSync('qemu-img', args, { encoding: 'utf8' });
const info = (path: string): Record<string, unknown> => JSON.parse(img('info', '--output=json', path)) as Record<string, unknown>;
const stream = (bytes: Uint8Array): Readable => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]);
const sha512 = (bytes: Uint8Array): string => createHash('sha512').update(bytes).digest('hex');
function fileOf({ path }: DiskSpec): string {
  if (path === undefined) throw new Error('the disk is no file');
  return path;
}
/** A qcow2 image of 4 MiB with some content, as bytes. */
function qcow2(...more: string[]): Buffer {
  const path = join(root, 'made.qcow2');
  writeFileSync(join(root, 'made.raw'), Buffer.alloc(4 * mib, 7));
  if (more.length > 0) img('create', '-q', '-f', 'qcow2', ...more, path, '4M');
  else img('convert', '-f', 'raw', '-O', 'qcow2', join(root, 'made.raw'), path);
  const bytes = readFileSync(path);
  rmSync(path);
  return bytes;
}

describe('a pool', () => {
  test('has one identity for all who open it, also at the same instant', async () => {
    const fresh = join(root, 'fresh');
    mkdirSync(fresh);
    const opened = await Promise.all([1, 2, 3, 4].map(() => openPool({ name: 'x', kind: 'shared', path: fresh })));
    expect(new Set(opened.map((one) => one.poolId)).size).toBe(1);
    expect(readdirSync(fresh).sort()).toEqual(['.godwit-pool', 'disks', 'images']);
    expect((await poolFacts(pool)).freeBytes).toBeGreaterThan(0);
  });

  test('that is not there is refused with a code', async () => {
    await expect(openPool({ name: 'x', kind: 'local', path: join(root, 'none') })).rejects.toMatchObject({
      code: 'PoolUnavailable',
      message: expect.stringMatching(/pool x/),
    });
  });
});

describe('the image cache', () => {
  const image = (bytes: Uint8Array, format: ImageRef['format'] = 'qcow2'): ImageRef => ({
    imageId: 'img-1',
    format,
    sha512: sha512(bytes),
  });

  test('fetches once for all who ask, and not again', async () => {
    const bytes = qcow2();
    let fetched = 0;
    const fetch = (): Readable => {
      fetched += 1;
      return stream(bytes);
    };
    const paths = await Promise.all([1, 2, 3].map(() => cacheImage(pool, image(bytes), fetch)));
    paths.push(await cacheImage(pool, image(bytes), fetch));
    expect(fetched).toBe(1);
    expect(new Set(paths).size).toBe(1);
    expect(readFileSync(paths[0] ?? '').equals(bytes)).toBe(true);
    expect(statSync(paths[0] ?? '').mode & 0o222).toBe(0);
  });

  test.each([
    [
      'a wrong checksum',
      (bytes: Buffer): ImageRef => ({ ...image(bytes), sha512: sha512(Buffer.from('x')) }),
      (bytes: Buffer) => stream(bytes),
      'ImageTruncated',
    ],
    [
      'a broken stream',
      (bytes: Buffer): ImageRef => image(bytes),
      (bytes: Buffer) =>
        Readable.from(
          (function* (): Generator<Buffer> {
            yield bytes.subarray(0, 5000);
            throw new Error('connection reset');
          })(),
        ),
      'ImageTruncated',
    ],
    [
      'content of another format',
      (): ImageRef => ({ imageId: 'i', format: 'qcow2', sha512: '' }),
      () => stream(Buffer.alloc(70_000, 1)),
      'ImageUnsafe',
    ],
    [
      'a qcow2 declared raw',
      (): ImageRef => ({ imageId: 'i', format: 'raw', sha512: '' }),
      (bytes: Buffer) => stream(bytes),
      'ImageUnsafe',
    ],
    [
      'an image id that is a path',
      (): ImageRef => ({ imageId: '../../x', format: 'raw', sha512: '' }),
      (bytes: Buffer) => stream(bytes),
      'BadRequest',
    ],
  ])('%s is refused and leaves nothing', async (_what, ref, fetch, code) => {
    const bytes = qcow2();
    await expect(cacheImage(pool, ref(bytes), () => fetch(bytes))).rejects.toMatchObject({ code });
    expect(readdirSync(join(root, 'images'))).toEqual([]);
  });

  test('a full pool is NoSpace and leaves nothing', async () => {
    const mount = join(root, 'small');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]);
    try {
      const small = await openPool({ name: 'small', kind: 'local', path: mount });
      const refused = cacheImage(small, { imageId: 'i', format: 'raw', sha512: '' }, () =>
        Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(65_536, 1))),
      );
      await expect(refused).rejects.toMatchObject({ code: 'NoSpace', message: expect.stringMatching(/pool small/) });
      expect(readdirSync(join(mount, 'images'))).toEqual([]);
    } finally {
      execFileSync('umount', [mount]);
    }
  });

  test('what a dead transfer left is swept, a young one is not', async () => {
    for (const name of ['old.part', 'new.part']) writeFileSync(join(root, 'images', name), 'x');
    utimesSync(join(root, 'images', 'old.part'), 1, 1);
    expect(await sweepPartialImages(pool, 3_600_000, Date.now())).toEqual(['old.part']);
  });
});

describe('untrusted images', () => {
  test('that name other files are refused, and those files are not opened', async () => {
    const fifo = join(root, 'trap');
    execFileSync('mkfifo', [fifo]); // whoever opened it would hang
    for (const [name, args] of [
      ['backing', ['-u', '-b', fifo, '-F', 'raw']],
      ['data', ['-o', `data_file=${join(root, 'd.raw')},data_file_raw=on`]],
    ] as const) {
      const path = join(root, `${name}.qcow2`);
      img('create', '-q', '-f', 'qcow2', ...args, path, '1M');
      await expect(inspectImage(path, 'qcow2')).rejects.toMatchObject({
        code: 'ImageUnsafe',
        message: expect.stringMatching(new RegExp(`${name} file`)),
      });
    }
  });

  test('that are malformed behind a good header are refused within the limits', async () => {
    const bytes = qcow2();
    bytes.writeBigUInt64BE(0xffff_ffff_ffff_0000n, 40); // L1 table far beyond the file
    const path = join(root, 'bad.qcow2');
    writeFileSync(path, bytes);
    await expect(inspectImage(path, 'qcow2')).rejects.toMatchObject({ code: 'ImageUnsafe' });
  });

  test('a sound one gives its facts', async () => {
    const path = join(root, 'good.qcow2');
    writeFileSync(path, qcow2());
    expect(await inspectImage(path, 'qcow2')).toMatchObject({ format: 'qcow2', virtualSizeBytes: 4 * mib });
  });
});

describe('disks', () => {
  async function base(): Promise<{ path: string; format: 'qcow2'; virtualSizeBytes: number }> {
    const bytes = qcow2();
    return {
      path: await cacheImage(pool, { imageId: 'img-1', format: 'qcow2', sha512: '' }, () => stream(bytes)),
      format: 'qcow2',
      virtualSizeBytes: 4 * mib,
    };
  }

  test('an overlay names its base, is found again unchanged, and grows but never shrinks', async () => {
    const image = await base();
    const request = { serverId: server, diskId: 'root', format: 'qcow2', sizeBytes: 8 * mib, image } as const;
    const disk = await createDisk(pool, request);
    expect(disk).toMatchObject({
      storage: 'shared',
      backing: { path: image.path, format: 'qcow2' },
      sizeBytes: 8 * mib,
      directIo: pool.io.directIo,
    });
    expect(info(fileOf(disk))).toMatchObject({
      'virtual-size': 8 * mib,
      'full-backing-filename': image.path,
      'backing-filename-format': 'qcow2',
    });
    const before = readFileSync(fileOf(disk));
    expect(await createDisk(pool, request)).toEqual(disk);
    expect(readFileSync(fileOf(disk)).equals(before)).toBe(true);
    // A resized server's disk grows when it is asked for again, and is never made smaller.
    await createDisk(pool, { ...request, sizeBytes: 12 * mib });
    expect(await diskFacts(fileOf(disk), 'qcow2')).toMatchObject({ virtualSizeBytes: 12 * mib });
    await expect(createDisk(pool, request)).rejects.toMatchObject({ code: 'Conflict' });
    await growDisk(pool, disk, 16 * mib);
    expect(await diskFacts(fileOf(disk), 'qcow2')).toMatchObject({ virtualSizeBytes: 16 * mib });
    await expect(growDisk(pool, disk, 8 * mib)).rejects.toMatchObject({ code: 'BadRequest' });
  });

  test('raw ones are copies or blank, with holes', async () => {
    const copy = await createDisk(pool, { serverId: server, diskId: 'a', format: 'raw', sizeBytes: 8 * mib, image: await base() });
    const bytes = readFileSync(fileOf(copy));
    expect([bytes.length, bytes[0], bytes[4 * mib - 1], bytes[4 * mib]]).toEqual([8 * mib, 7, 7, 0]);
    const blank = await createDisk(pool, { serverId: server, diskId: 'b', format: 'raw', sizeBytes: 64 * mib });
    expect((await diskFacts(fileOf(blank), 'raw'))?.allocatedBytes).toBeLessThan(mib);
  });

  test('an image larger than the disk is refused; deletion is complete and can be repeated', async () => {
    await expect(
      createDisk(pool, { serverId: server, diskId: 'root', format: 'qcow2', sizeBytes: 2 * mib, image: await base() }),
    ).rejects.toMatchObject({ code: 'BadRequest', message: expect.stringMatching(/needs a disk of 4194304/) });
    await createDisk(pool, { serverId: server, diskId: 'root', format: 'qcow2', sizeBytes: 8 * mib });
    expect(await serversWithDisks(pool)).toEqual([server]);
    expect(await deleteDisk(pool, server, 'root', 'qcow2')).toBe(true);
    expect(await deleteDisk(pool, server, 'root', 'qcow2')).toBe(false);
    expect(await serversWithDisks(pool)).toEqual([]);
    mkdirSync(consoleDirOf(pool, server), { recursive: true });
    writeFileSync(join(consoleDirOf(pool, server), 'x.log'), 'x');
    await deleteServerDisks(pool, server);
    await deleteServerDisks(pool, server);
    expect(existsSync(consoleDirOf(pool, server))).toBe(false);
    await expect(deleteServerDisks(pool, '../images')).rejects.toMatchObject({ code: 'BadRequest' });
  });

  test('a folder that is a link out of the pool is refused', async () => {
    const outside = mkdtempSync('/tmp/gw-s-out-');
    try {
      symlinkSync(outside, join(root, 'disks', server));
      await expect(createDisk(pool, { serverId: server, diskId: 'root', format: 'raw', sizeBytes: mib })).rejects.toMatchObject({
        code: 'ImageUnsafe',
      });
      expect(existsSync(join(outside, 'root.raw'))).toBe(false);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });
});
