import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type DiskChunk, readDiskFile } from '../../storage/disk-stream.ts';
import { wholeFile } from './image-from-peer.ts';

async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of chunks) parts.push(part);
  return Buffer.concat(parts);
}

test('a file with holes comes over whole, byte for byte', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gw-image-'));
  try {
    const path = join(dir, 'image');
    await writeFile(path, Buffer.concat([Buffer.alloc(70_000, 'a'), Buffer.alloc(2_000_000), Buffer.from('end')]));
    await truncate(path, 3_000_001);
    const whole = await collected(wholeFile(readDiskFile(path)));
    expect(whole.length).toBe(3_000_001);
    expect([whole[0], whole[70_000], whole.subarray(2_070_000, 2_070_003).toString(), whole.at(-1)]).toEqual([97, 0, 'end', 0]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a stream that ends early is no image', async () => {
  const cut = async function* (): AsyncIterable<DiskChunk> {
    yield await Promise.resolve({ offset: 0, data: Buffer.from('x'), fileBytes: 10 });
  };
  await expect(collected(wholeFile(cut()))).rejects.toThrow(/ended early/);
});
