import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';
import { imagePath, incomingDir } from './image-paths.ts';

export type ReceivedFile = { readonly sizeBytes: number; readonly md5: string; readonly sha512: string; readonly partPath: string };

export type ReceiveOptions = {
  readonly imageDir: string;
  readonly imageId: string;
  readonly maxBytes: number;
  /** What the sender announced (Content-Length), or null. */
  readonly announcedBytes: number | null;
};

/**
 * Streams an upload into a file of its own and to the disk (fsync), hashing on the way. When it throws nothing is left of it:
 * ImageTooLarge, ImageTruncated (the sender stopped, or sent less or more than announced), NoSpace.
 */
export async function receiveFile(source: AsyncIterable<Buffer>, options: ReceiveOptions): Promise<ReceivedFile> {
  const { imageDir, imageId, maxBytes, announcedBytes } = options;
  if (announcedBytes !== null && announcedBytes > maxBytes) throw tooLarge(maxBytes);
  const partPath = join(incomingDir(imageDir), `${imageId}.${randomUUID()}.part`);
  try {
    await mkdir(incomingDir(imageDir), { recursive: true });
    const [md5, sha512] = [createHash('md5'), createHash('sha512')];
    let sizeBytes = 0;
    await using file = await open(partPath, 'wx', 0o600);
    for await (const chunk of chunksOf(source)) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
      md5.update(chunk);
      sha512.update(chunk);
      for (let written = 0; written < chunk.length; ) written += (await file.write(chunk, written)).bytesWritten;
    }
    if (announcedBytes !== null && sizeBytes !== announcedBytes)
      throw new GodwitError('ImageTruncated', `The upload ended after ${sizeBytes} of ${announcedBytes} bytes.`);
    await file.sync();
    return { sizeBytes, md5: md5.digest('hex'), sha512: sha512.digest('hex'), partPath };
  } catch (error) {
    await rm(partPath, { force: true });
    throw refusalOf(error);
  }
}

/** Makes a received file the image's data: atomic, and on the disk when it returns. */
export async function keepFile(imageDir: string, imageId: string, partPath: string): Promise<void> {
  await rename(partPath, imagePath(imageDir, imageId));
  await using directory = await open(imageDir, 'r');
  await directory.sync();
}

/** The sender's failure is told apart from ours: only reading can be cut off. */
async function* chunksOf(source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  for (;;) {
    let next: IteratorResult<Buffer>;
    try {
      next = await iterator.next();
    } catch (cause) {
      throw new GodwitError('ImageTruncated', 'The upload was cut off.', {}, { cause });
    }
    if (next.done === true) return;
    yield next.value;
  }
}

const tooLarge = (maxBytes: number) => new GodwitError('ImageTooLarge', `Image exceeds the size limit of ${maxBytes} bytes.`);

function refusalOf(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG')
    return new GodwitError('NoSpace', 'There is not enough disk space on the image storage media.', {}, { cause: error });
  return error;
}
