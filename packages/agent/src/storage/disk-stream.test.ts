import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DiskChunk, filled, readDiskFile, writeDiskFile } from './disk-stream.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gw-disk-stream-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const grain = 65_536;

describe('filled', () => {
  test('covers every byte that is not zero, in order, and nothing of a zero grain', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(grain * 6 - 1), fc.integer({ min: 1, max: 255 })), { maxLength: 8 }),
        fc.integer({ min: 1, max: grain * 6 }),
        (bytes, length) => {
          const buffer = Buffer.alloc(length);
          for (const [at, value] of bytes) if (at < length) buffer[at] = value;
          const copy = Buffer.alloc(length);
          let end = -1;
          for (const [from, to] of filled(buffer)) {
            expect(from).toBeGreaterThan(end);
            end = to;
            expect(from % grain).toBe(0);
            buffer.copy(copy, from, from, to);
          }
          expect(copy.equals(buffer)).toBe(true);
        },
      ),
    );
    expect(filled(Buffer.alloc(grain * 4))).toEqual([]);
  });
});

describe('a disk on its way', () => {
  test('arrives byte for byte, with its holes, and tells how far it is', async () => {
    const source = join(dir, 'a');
    await writeFile(source, Buffer.from('head'));
    await truncate(source, 64 * 2 ** 20);
    const { size } = await stat(source);
    const handle = Buffer.alloc(grain, 7);
    const file = await open(source, 'r+');
    await file.write(handle, 0, handle.length, 40 * 2 ** 20 + 4096);
    await file.close();
    const told: number[] = [];
    await writeDiskFile(join(dir, 'b'), readDiskFile(source), (bytes) => told.push(bytes));
    const [from, to] = await Promise.all([readFile(source), readFile(join(dir, 'b'))]);
    expect(to.equals(from)).toBe(true);
    expect(told.at(-1)).toBe(size);
    expect((await stat(join(dir, 'b'))).blocks * 512).toBeLessThan(2 ** 20);
  });

  test('that ends early is refused, and never replaces a file', async () => {
    const chunks = async function* (): AsyncIterable<DiskChunk> {
      await Promise.resolve();
      yield { offset: 0, data: Buffer.from('x'), fileBytes: 10 };
    };
    await expect(writeDiskFile(join(dir, 'c'), chunks(), () => {})).rejects.toThrow('ended early');
    await writeFile(join(dir, 'd'), 'mine');
    await expect(writeDiskFile(join(dir, 'd'), chunks(), () => {})).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await readFile(join(dir, 'd'), 'utf8')).toBe('mine');
  });

  test('of no bytes is an empty file', async () => {
    await writeFile(join(dir, 'e'), '');
    await writeDiskFile(join(dir, 'f'), readDiskFile(join(dir, 'e')), () => {});
    expect((await stat(join(dir, 'f'))).size).toBe(0);
  });
});
