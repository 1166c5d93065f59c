import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Of each of the two files. */
const FILE_BYTES = 4 * 1_048_576;
/** The most that one question is answered with, newest lines first to be kept. */
const ANSWER_LINES = 2_000;
const ANSWER_BYTES = 1_048_576;

/** The latest lines of a process's log, kept beside its state so that they can be asked for (`godwit doctor --bundle`). */
export type RecentLog = {
  /** A stream for pino. Never throws and never keeps its caller waiting for more than one write: a full disk costs the line, not the caller. */
  readonly stream: { readonly write: (line: string) => void };
  readonly close: () => void;
};

const older = (file: string): string => `${file}.1`;

/** Opens `file` (0600) for lines; at 4 MiB it becomes `<file>.1`, which takes the place of the one before. Throws when it cannot be made. */
export function openRecentLog(file: string, fileBytes = FILE_BYTES): RecentLog {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  let fd = openSync(file, 'a', 0o600);
  let size = fstatSync(fd).size;
  let open = true;
  const turn = (): void => {
    closeSync(fd);
    renameSync(file, older(file));
    fd = openSync(file, 'a', 0o600);
    size = 0;
  };
  return {
    stream: {
      write: (line) => {
        if (!open) return;
        try {
          if (size > fileBytes) turn();
          size += writeSync(fd, line);
        } catch {
          // Nowhere to tell it: this is the log.
        }
      },
    },
    close: () => {
      if (!open) return;
      open = false;
      closeSync(fd);
    },
  };
}

/** Lines that a log holds, oldest first. `cut`: there were more, older ones. */
export type LogExcerpt = { readonly lines: readonly string[]; readonly cut: boolean };

/** The lines of `openRecentLog`'s files in which one of the `words` stands; the newest 2,000 of them and at most 1 MiB. No file: no lines. */
export async function readRecentLog(file: string, words: readonly string[]): Promise<LogExcerpt> {
  const texts = await Promise.all([older(file), file].map((one) => readFile(one, 'utf8').catch(missing)));
  const found = texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => line !== '' && words.some((word) => word !== '' && line.includes(word)));
  return newest(found);
}

/** The last of the lines that fit into an answer. */
export function newest(lines: readonly string[]): LogExcerpt {
  let bytes = 0;
  let from = lines.length;
  while (from > 0 && lines.length - from < ANSWER_LINES) {
    bytes += Buffer.byteLength(lines[from - 1] ?? '') + 1;
    if (bytes > ANSWER_BYTES) break;
    from--;
  }
  return { lines: lines.slice(from), cut: from > 0 };
}

function missing(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
  throw error;
}
