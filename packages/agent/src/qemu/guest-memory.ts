import { closeSync, fstatSync, openSync, readdirSync, readlinkSync, readSync, statSync } from 'node:fs';
import { crc32 } from 'node:zlib';

export const pageBytes = 4096;
/** Pages read without letting anything else run: about a millisecond. */
const batch = 128;

/** A guest's memory as its host sees it. Reading it takes nothing from the guest but the reader's own time, and does not make a page where there is none. */
export type GuestMemory = {
  readonly pages: number;
  /** A checksum per page, in the order asked for; 0 for a page that holds only zeros. */
  checksums(pages: readonly number[]): Promise<Uint32Array>;
  close(): void;
};

const zeros = Buffer.alloc(pageBytes);

/** Opens the memory of a QEMU whose RAM is memfds: its machine's, and one for what is added. Null: it has none, or it has ended. */
export function openGuestMemory(pid: number): GuestMemory | null {
  const parts: { readonly fd: number; readonly firstPage: number }[] = [];
  let pages = 0;
  const close = (): void => parts.forEach(({ fd }) => closeSync(fd));
  try {
    for (const path of memfdsOf(pid)) {
      const fd = openSync(path, 'r');
      parts.push({ fd, firstPage: pages });
      pages += Math.floor(fstatSync(fd).size / pageBytes);
    }
  } catch {
    close();
    return null; // ended meanwhile
  }
  if (parts.length === 0) return null;
  const page = Buffer.alloc(pageBytes);
  return {
    pages,
    checksums: async (numbers) => {
      const sums = new Uint32Array(numbers.length);
      for (const [index, number] of numbers.entries()) {
        if (index % batch === 0 && index > 0) await new Promise<void>((resolve) => setImmediate(resolve));
        const part = parts.findLast(({ firstPage }) => firstPage <= number);
        if (part === undefined) throw new RangeError(`page ${number} of a guest`);
        readSync(part.fd, page, 0, pageBytes, (number - part.firstPage) * pageBytes);
        // A checksum that happens to be 0 would look like an empty page.
        sums[index] = page.equals(zeros) ? 0 : crc32(page) || 1;
      }
      return sums;
    },
    close,
  };
}

/** QEMU may hold the same one twice. */
function memfdsOf(pid: number): readonly string[] {
  const dir = `/proc/${pid}/fd`;
  const found = new Map<number, string>();
  try {
    for (const name of readdirSync(dir)) {
      const path = `${dir}/${name}`;
      if (isGuestRam(path)) found.set(statSync(path).ino, path);
    }
  } catch {
    return []; // ended meanwhile
  }
  return [...found.values()];
}

function isGuestRam(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('/memfd:memory-backend-memfd');
  } catch {
    return false; // closed between the listing and the look
  }
}
