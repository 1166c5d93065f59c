import { type FileHandle, open } from 'node:fs/promises';

/** A stretch of a disk's file; stretches of zeros are left out. The last one has no data and says how long the file is. */
export type DiskChunk = { readonly offset: number; readonly data: Uint8Array; readonly fileBytes: number };

const chunkBytes = 1_048_576;
/** Holes are kept at this grain: qcow2's default cluster. */
const grainBytes = 65_536;
const zeros = Buffer.alloc(grainBytes);

/** The file as it is, in order, without its zeros. Only of a disk that nobody writes to. */
export async function* readDiskFile(path: string): AsyncIterable<DiskChunk> {
  yield* readOpenDisk(await open(path, 'r'), path);
}

/** The same of a file that is open, and closed in the end; `path` names it in errors. */
export async function* readOpenDisk(file: FileHandle, path: string): AsyncIterable<DiskChunk> {
  try {
    const { size } = await file.stat();
    for (let offset = 0; offset < size; ) {
      const buffer = Buffer.alloc(Math.min(chunkBytes, size - offset));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
      if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
      for (const [from, to] of filled(buffer.subarray(0, bytesRead)))
        yield { offset: offset + from, data: buffer.subarray(from, to), fileBytes: size };
      offset += bytesRead;
    }
    yield { offset: size, data: new Uint8Array(0), fileBytes: size };
  } finally {
    await file.close();
  }
}

/**
 * Writes such a stream as a sparse file and makes it durable. `copied` is told how far it has come, in bytes of the file. Throws when the stream ends before the file does; the
 * caller removes what there is.
 */
export async function writeDiskFile(path: string, chunks: AsyncIterable<DiskChunk>, copied: (bytes: number) => void): Promise<void> {
  const file: FileHandle = await open(path, 'wx', 0o600);
  try {
    let complete = false;
    for await (const { offset, data, fileBytes } of chunks) {
      if (data.length > 0) await file.write(data, 0, data.length, offset);
      else {
        await file.truncate(fileBytes);
        complete = true;
      }
      copied(offset + data.length);
    }
    if (!complete) throw new Error('the stream of the disk ended early');
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The parts of a buffer that are not zeros, joined where they touch. Pure. */
export function filled(buffer: Buffer): readonly (readonly [number, number])[] {
  const parts: [number, number][] = [];
  for (let from = 0; from < buffer.length; from += grainBytes) {
    const to = Math.min(buffer.length, from + grainBytes);
    if (buffer.subarray(from, to).equals(zeros.subarray(0, to - from))) continue;
    const last = parts.at(-1);
    if (last !== undefined && last[1] === from) last[1] = to;
    else parts.push([from, to]);
  }
  return parts;
}
