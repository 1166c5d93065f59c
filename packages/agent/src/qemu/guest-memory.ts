import { closeSync, fstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
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

/** Opens the memory of a QEMU whose RAM is one memfd. Null: it has none, or it has ended. */
export function openGuestMemory(pid: number): GuestMemory | null {
  const path = memfdOf(pid);
  if (path === null) return null;
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return null; // ended meanwhile
  }
  const page = Buffer.alloc(pageBytes);
  return {
    pages: Math.floor(fstatSync(fd).size / pageBytes),
    checksums: async (pages) => {
      const sums = new Uint32Array(pages.length);
      for (const [index, number] of pages.entries()) {
        if (index % batch === 0 && index > 0) await new Promise<void>((resolve) => setImmediate(resolve));
        readSync(fd, page, 0, pageBytes, number * pageBytes);
        // A checksum that happens to be 0 would look like an empty page.
        sums[index] = page.equals(zeros) ? 0 : crc32(page) || 1;
      }
      return sums;
    },
    close: () => closeSync(fd),
  };
}

/** QEMU's largest memfd is the guest's RAM; others are small. */
function memfdOf(pid: number): string | null {
  const dir = `/proc/${pid}/fd`;
  try {
    for (const name of readdirSync(dir)) {
      const path = `${dir}/${name}`;
      if (isGuestRam(path)) return path;
    }
  } catch {
    // ended meanwhile
  }
  return null;
}

function isGuestRam(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('/memfd:memory-backend-memfd');
  } catch {
    return false; // closed between the listing and the look
  }
}
