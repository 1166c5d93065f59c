import { createHash, randomBytes } from 'node:crypto';
import { chmod, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { GodwitError } from '@godwit/domain/errors';
import type { DiskFormat } from '@godwit/domain/guest-spec';
import { confinedPath, refuseEscape } from './confined-path.ts';
import { inspectImage } from './inspect-image.ts';
import { makeDurable } from './make-durable.ts';
import { type Pool, poolSpace } from './pool.ts';

export type ImageRef = {
  readonly imageId: string;
  /** `blob`: kernels and ramdisks, never opened as a disk. */
  readonly format: DiskFormat | 'blob';
  /** Hex; empty: not known, not checked. */
  readonly sha512: string;
};

const inFlight = new Map<string, Promise<string>>();

/** Where an image lies in a pool once it is cached. */
export const imagePath = (pool: Pick<Pool, 'path'>, image: ImageRef): string =>
  confinedPath(join(pool.path, 'images'), `${image.imageId}.${image.format}`);

/**
 * Makes an image available in a pool and returns its path; the file there is complete, checked against its checksum, inspected, and read-only from then on.
 * `fetch` is called only when it is absent; concurrent calls share one transfer, also on a shared pool, where whoever finishes first wins and both files are equal.
 * Throws GodwitError ImageTruncated (checksum or stream broken), ImageUnsafe, NoSpace; nothing of a failed transfer stays.
 */
export async function cacheImage(
  pool: Pool,
  image: ImageRef,
  fetch: () => Promise<AsyncIterable<Uint8Array>> | AsyncIterable<Uint8Array>,
): Promise<string> {
  const path = imagePath(pool, image);
  await refuseEscape(pool.path, path);
  if (await exists(path)) return path;
  const running = inFlight.get(path);
  if (running) return running;
  const transfer = transferImage(pool, image, path, fetch).finally(() => inFlight.delete(path));
  inFlight.set(path, transfer);
  return transfer;
}

/** Deletes what transfers left that died with their agent: partial files of this host older than `olderThanMs`. Returns their names. */
export async function sweepPartialImages(pool: Pool, olderThanMs: number, nowMs: number): Promise<readonly string[]> {
  const folder = join(pool.path, 'images');
  const swept: string[] = [];
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.part')) continue;
    const path = join(folder, name);
    const age = nowMs - (await stat(path).catch(() => ({ mtimeMs: nowMs }))).mtimeMs;
    if (age < olderThanMs) continue;
    await rm(path, { force: true });
    swept.push(name);
  }
  return swept;
}

async function transferImage(
  pool: Pool,
  image: ImageRef,
  path: string,
  fetch: () => Promise<AsyncIterable<Uint8Array>> | AsyncIterable<Uint8Array>,
): Promise<string> {
  const part = `${path}.${randomBytes(6).toString('hex')}.part`;
  const hash = createHash('sha512');
  try {
    const source = await fetch();
    // Opened before anything can fail: a stream that opens it itself could do so after our removal.
    const file = await open(part, 'wx', 0o600);
    await pipeline(
      source,
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      file.createWriteStream(),
    );
    const sum = hash.digest('hex');
    if (image.sha512 !== '' && sum !== image.sha512.toLowerCase()) {
      throw new GodwitError('ImageTruncated', `image ${image.imageId} arrived damaged: its checksum is not the registered one`, {
        expected: image.sha512,
        got: sum,
      });
    }
    if (image.format !== 'blob') await inspectImage(part, image.format);
    await chmod(part, 0o444);
    await makeDurable(part);
    await rename(part, path);
    return path;
  } catch (error) {
    await rm(part, { force: true });
    throw await transferError(pool, image, error);
  }
}

async function transferError(pool: Pool, image: ImageRef, error: unknown): Promise<GodwitError> {
  if (error instanceof GodwitError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const { freeBytes } = await poolSpace(pool);
    return new GodwitError(
      'NoSpace',
      `image ${image.imageId} does not fit into pool ${pool.name}: ${freeBytes} bytes free`,
      { pool: pool.name },
      { cause: error },
    );
  }
  return new GodwitError(
    'ImageTruncated',
    `image ${image.imageId} could not be fetched: ${(error as Error).message}`,
    { pool: pool.name },
    { cause: error },
  );
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? false : Promise.reject(error)),
  );
