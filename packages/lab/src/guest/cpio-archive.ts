/** One entry of an initramfs. Paths have no leading slash; a directory has no content. */
export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly kind: 'character-device'; readonly path: string; readonly mode: number; readonly major: number; readonly minor: number };

const typeBits = { directory: 0o040000, file: 0o100000, 'character-device': 0o020000 } as const;

const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);

function member(inode: number, path: string, mode: number, content: Uint8Array, major = 0, minor = 0): Buffer {
  const name = Buffer.from(`${path}\0`);
  // Owner 0:0 and time 0 always: the same inputs give the same bytes.
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)]);
}

/**
 * A "newc" cpio archive, the format of Documentation/driver-api/early-userspace/buffer-format.rst. Written here because it
 * takes thirty lines, and the archive then holds a device node and owner 0 without being root.
 */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const members = entries.map((entry, index) => {
    const mode = typeBits[entry.kind] | entry.mode;
    switch (entry.kind) {
      case 'directory':
        return member(index + 1, entry.path, mode, new Uint8Array());
      case 'file':
        return member(index + 1, entry.path, mode, entry.content);
      case 'character-device':
        return member(index + 1, entry.path, mode, new Uint8Array(), entry.major, entry.minor);
    }
  });
  return Buffer.concat([...members, member(0, 'TRAILER!!!', 0, new Uint8Array())]);
}
