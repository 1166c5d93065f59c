import { watch } from 'node:fs';
import { open } from 'node:fs/promises';
import type { ConsoleChunk, ConsolePosition } from '../drivers/guest-consoles.ts';
import { type ConsoleSegment, consoleSegments } from './console-log.ts';

const pieceBytes = 64 * 1024;
/** Another host's writes to a shared pool, and a folder that does not exist yet, are not told by inotify. */
const lookEveryMs = 300;

/**
 * A console log from a place on, and what is added to it, until the signal aborts: nothing twice, nothing left out, over all segments in order. The log is followed
 * rather than QEMU's socket because it takes every byte whether or not somebody reads, and has a place to go on from: on another host, after a restart of agent or controller.
 *
 * While a guest moves, its destination's segment exists, empty, and the source's still grows: a later segment counts once it has bytes, which is when the guest runs there.
 */
export async function* followConsole(
  consoleDir: string,
  from: ConsolePosition | null,
  tailBytes: number,
  signal: AbortSignal,
): AsyncGenerator<ConsoleChunk> {
  let at = from ?? before(await consoleSegments(consoleDir), tailBytes);
  const changes = new Changes(consoleDir, signal);
  try {
    while (!signal.aborted) {
      const changed = changes.next();
      const segments = await consoleSegments(consoleDir);
      const own = segments.find((segment) => segment.epoch >= at.epoch && (segment.epoch > at.epoch || segment.bytes > 0));
      if (own !== undefined && own.epoch > at.epoch) at = { epoch: own.epoch, offset: 0 };
      // Cut to its newest bytes meanwhile: what is added comes after them.
      if (own !== undefined && own.bytes < at.offset) at = { epoch: own.epoch, offset: own.bytes };
      const data = own === undefined ? nothing : await piece(own.path, at.offset, own.bytes);
      if (data.length > 0) {
        at = { epoch: at.epoch, offset: at.offset + data.length };
        yield { data, position: at };
        continue;
      }
      const later = segments.find((segment) => segment.epoch > at.epoch && segment.bytes > 0);
      if (later === undefined) await changed;
      else at = { epoch: later.epoch, offset: 0 };
    }
  } finally {
    changes.close();
  }
}

/** The place `bytes` before the end of the log. */
function before(segments: readonly ConsoleSegment[], bytes: number): ConsolePosition {
  let wanted = bytes;
  for (const segment of segments.toReversed()) {
    if (segment.bytes >= wanted) return { epoch: segment.epoch, offset: segment.bytes - wanted };
    wanted -= segment.bytes;
  }
  return { epoch: segments[0]?.epoch ?? 0, offset: 0 };
}

const nothing = Buffer.alloc(0);

/** At most a piece of what lies between two places of a file; empty when there is nothing, or no such file any more. */
async function piece(path: string, start: number, end: number): Promise<Buffer> {
  if (end <= start) return nothing;
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return nothing;
  try {
    const bytes = Buffer.alloc(Math.min(pieceBytes, end - start));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Tells when something in a folder may have changed, or when it is time to look anyway. */
class Changes {
  readonly #stop: () => void;
  #wake: () => void = () => {};

  constructor(folder: string, signal: AbortSignal) {
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake);
    const timer = setInterval(wake, lookEveryMs);
    const watcher = watchIfThere(folder, wake);
    this.#stop = () => {
      signal.removeEventListener('abort', wake);
      clearInterval(timer);
      watcher?.close();
    };
  }

  /** Of what changes from now on. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  close(): void {
    this.#stop();
  }
}

function watchIfThere(folder: string, changed: () => void): ReturnType<typeof watch> | null {
  try {
    const watcher = watch(folder, changed);
    // The timer goes on looking.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return null;
  }
}
