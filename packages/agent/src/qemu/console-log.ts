import { appendFile, mkdir, open, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The serial console's log of a guest, over its whole life: a folder of segments, one per QEMU process, named by the custody epoch
 * that the process was started under. QEMU appends to its own segment only.
 *
 * On a shared pool (GuestSpec.consoleDir) the folder is the same for all hosts, and the log goes on by itself. Elsewhere the destination of a move
 * holds the earlier segments as files carried over from the source, in any order and at any time, even after it runs: reading puts them in order.
 * One file that both QEMUs append to was rejected: on local disks it does not exist on the other side, and the source's last lines would come after
 * the destination's first.
 */
export type ConsoleSegment = { readonly epoch: number; readonly path: string; readonly bytes: number };

const name = /^(\d{16})\.log$/;

/** Path of the segment that a QEMU started under `epoch` appends to. */
export const segmentPath = (consoleDir: string, epoch: number): string => join(consoleDir, `${String(epoch).padStart(16, '0')}.log`);

/** All segments, oldest first; empty when there is no log. */
export async function consoleSegments(consoleDir: string): Promise<readonly ConsoleSegment[]> {
  const names = await readdir(consoleDir).catch(emptyWhenAbsent);
  const found = names.flatMap((file) => {
    const epoch = name.exec(file)?.[1];
    return epoch === undefined ? [] : [{ epoch: Number(epoch), path: join(consoleDir, file) }];
  });
  const segments = await Promise.all(found.map(async (one) => ({ ...one, bytes: (await stat(one.path)).size })));
  return segments.sort((a, b) => a.epoch - b.epoch);
}

/** The last `maxBytes` bytes of the whole log, cut to its last `maxLines` lines when that is above 0. */
export async function readConsole(consoleDir: string, maxBytes: number, maxLines: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let wanted = maxBytes;
  for (const segment of [...(await consoleSegments(consoleDir))].reverse()) {
    if (wanted <= 0) break;
    const part = await tail(segment.path, wanted);
    parts.unshift(part);
    wanted -= part.length;
  }
  const bytes = Buffer.concat(parts);
  return maxLines > 0 ? lastLines(bytes, maxLines) : bytes;
}

/**
 * Stores a segment carried over from another host; one that is there already is replaced as a whole (the caller sends a longer copy once
 * the source has stopped). The epoch must be older than that of the process running here, else its own log would be lost: throws RangeError.
 */
export async function writeCarriedSegment(consoleDir: string, epoch: number, ownEpoch: number, bytes: Uint8Array): Promise<void> {
  if (epoch >= ownEpoch) throw new RangeError(`a console segment of epoch ${epoch} is not older than this host's own ${ownEpoch}`);
  await mkdir(consoleDir, { recursive: true });
  const path = segmentPath(consoleDir, epoch);
  await writeFile(`${path}.part`, bytes, { mode: 0o600 });
  await rename(`${path}.part`, path);
}

/** What is kept of a guest's console log: a guest that floods its serial port must not fill the host's disk. */
export type ConsoleLimits = {
  /** A segment above this is cut to its newest half. */
  readonly segmentBytes: number;
  /** Oldest segments are dropped while all together are above this; the newest always stays. */
  readonly totalBytes: number;
};

export const consoleLimits: ConsoleLimits = { segmentBytes: 2 * 1024 * 1024, totalBytes: 16 * 1024 * 1024 };

/**
 * Cuts a log down to its limits, newest bytes kept. Safe while QEMU writes: it appends (O_APPEND), so after the cut it goes on at the new end; what it writes
 * in the instant between reading and cutting is lost. A cut segment begins at the start of a line where it can.
 */
export async function trimConsole(consoleDir: string, limits: ConsoleLimits = consoleLimits): Promise<void> {
  const segments = await consoleSegments(consoleDir);
  for (const { path, bytes } of segments) {
    if (bytes > limits.segmentBytes) await keepTail(path, Math.floor(limits.segmentBytes / 2));
  }
  const now = await consoleSegments(consoleDir);
  let total = now.reduce((sum, one) => sum + one.bytes, 0);
  for (const { path, bytes } of now.slice(0, -1)) {
    if (total <= limits.totalBytes) return;
    await rm(path, { force: true });
    total -= bytes;
  }
}

/** The same file, not a new one in its place: QEMU holds it open. */
async function keepTail(path: string, keepBytes: number): Promise<void> {
  const kept = await tail(path, keepBytes);
  const lineStart = kept.indexOf(0x0a) + 1;
  await truncate(path, 0);
  // Appended like QEMU's own bytes: written at a position, they could overwrite what it has added since.
  await appendFile(path, kept.subarray(lineStart));
}

/** The last `maxBytes` bytes of a file; empty when it does not exist. */
export async function tail(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!file) return Buffer.alloc(0);
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, maxBytes));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, size - bytes.length);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The last lines of a text; an unfinished last line counts as one. */
export function lastLines(bytes: Buffer, count: number): Buffer {
  let end = bytes.length - 1;
  if (bytes[end] === 0x0a) end -= 1;
  let position = end + 1;
  for (let lines = 0; lines < count; lines += 1) {
    position = position <= 0 ? -1 : bytes.lastIndexOf(0x0a, position - 1);
    if (position === -1) return bytes;
  }
  return bytes.subarray(position + 1);
}

function emptyWhenAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
