import { stat } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain/errors';
import { openPeerLink } from '../../migration/peer-link.ts';
import { type DiskChunk, readDiskFile } from '../../storage/disk-stream.ts';
import { type ImageRef, imagePath } from '../../storage/image-cache.ts';
import type { Pool } from '../../storage/pool.ts';
import type { PeerAddress } from '../host-driver.ts';
import { fetchImage } from './fetch-image.ts';
import { poolNamed } from './guest-spec-of.ts';
import type { QemuHost } from './qemu-host.ts';

const zeros = Buffer.alloc(65_536);

/** An image of this host's, for another host. Throws GodwitError NotFound when it is not in the pool. */
export async function* readImage(pools: ReadonlyMap<string, Pool>, poolName: string, image: ImageRef): AsyncIterable<DiskChunk> {
  const path = imagePath(poolNamed(pools, poolName), image);
  const there = await stat(path).catch(() => null);
  if (there === null) throw new GodwitError('NotFound', `image ${image.imageId} is not in pool ${poolName} of this host`);
  yield* readDiskFile(path);
}

/**
 * How the destination of a move gets an image: from the image store, and one that was deleted there from the source, which runs the guest on it. Throws what both
 * throw, the store's word first.
 */
export const imageFor =
  (host: QemuHost, source: PeerAddress, poolName: string) =>
  async (image: ImageRef): Promise<AsyncIterable<Uint8Array>> => {
    try {
      return await fetchImage(host.config.controllerUrl, host.identity.current, image.imageId as Parameters<typeof fetchImage>[2]);
    } catch (error) {
      if (!(error instanceof GodwitError) || error.code !== 'NotFound') throw error;
      return fromPeer(host, source, poolName, image);
    }
  };

async function* fromPeer(host: QemuHost, source: PeerAddress, poolName: string, image: ImageRef): AsyncIterable<Uint8Array> {
  const link = openPeerLink(source, host.identity.current);
  try {
    yield* wholeFile(link.readImage(poolName, image));
  } finally {
    link.close();
  }
}

/** The bytes of a file out of its chunks, which leave zeros out. Throws when the stream ends before the file does. */
export async function* wholeFile(chunks: AsyncIterable<DiskChunk>): AsyncIterable<Uint8Array> {
  let position = 0;
  let fileBytes = -1;
  for await (const chunk of chunks) {
    for (; position < chunk.offset; position += zeros.length) yield zeros.subarray(0, Math.min(zeros.length, chunk.offset - position));
    position = chunk.offset + chunk.data.length;
    if (chunk.data.length > 0) yield chunk.data;
    else fileBytes = chunk.fileBytes;
  }
  if (position !== fileBytes) throw new Error('the stream of the image ended early');
}
