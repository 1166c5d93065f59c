import { GodwitError } from '@godwit/domain/errors';

/** A file by its path inside the image: plain words divided by slashes. */
export type IsoFile = { readonly path: string; readonly content: Uint8Array };

const sectorBytes = 2_048;
/** ECMA-119: sixteen sectors for whoever boots from it, then the descriptors. */
const sectors = { descriptor: 16, terminator: 17, littlePathTable: 18, bigPathTable: 19, first: 20 } as const;
/** A directory record's length is one byte. */
const maxRecordBytes = 254;
/** The same on every host: what a guest has read must not change under it. */
const recordedAt = [100, 1, 1, 0, 0, 0, 0] as const;
const modes = { directory: 0o040555, file: 0o100444 } as const;

type Node = {
  readonly name: string;
  /** Level 2 of ECMA-119, which readers without Rock Ridge show, mostly in lower case. */
  readonly plainName: string;
  readonly children: Node[] | null;
  readonly content: Uint8Array;
  sector: number;
};

/**
 * An ISO 9660 image with Rock Ridge names, read-only for everybody: the same files give the same bytes. A writer of our own, because Debian's are no part of a host's installation and this needs a
 * hundred lines of a format that does not change (ECMA-119; SUSP and RRIP 1.12). Pure. Throws GodwitError BadRequest for names that the format cannot hold.
 */
export function iso9660(label: string, files: readonly IsoFile[]): Buffer {
  const root = treeOf(files);
  const parents = withParents(root);
  const directories = parents.map(([directory]) => directory);
  let next: number = sectors.first;
  for (const directory of directories) directory.sector = next++;
  const contents = directories.flatMap(({ children }) => (children ?? []).filter((child) => child.children === null));
  for (const file of contents) {
    file.sector = next;
    next += Math.ceil(file.content.length / sectorBytes);
  }
  const image = Buffer.alloc(next * sectorBytes);
  const put = (sector: number, data: Uint8Array): void => image.set(data, sector * sectorBytes);
  put(sectors.descriptor, primaryDescriptor(label, next, root, pathTable(parents, true).length));
  put(sectors.terminator, Buffer.from('\u00ffCD001\u0001', 'latin1'));
  put(sectors.littlePathTable, pathTable(parents, true));
  put(sectors.bigPathTable, pathTable(parents, false));
  for (const [directory, parent] of parents) put(directory.sector, recordsOf(directory, parent, directory === root));
  for (const file of contents) put(file.sector, file.content);
  return image;
}

function treeOf(files: readonly IsoFile[]): Node {
  const root: Node = { name: '', plainName: '\0', children: [], content: new Uint8Array(0), sector: 0 };
  for (const { path, content } of files) {
    const words = path.split('/');
    const last = words.pop() ?? '';
    let directory = root;
    for (const word of words) {
      const known = directory.children?.find(({ name }) => name === word);
      if (known?.children === null) throw new GodwitError('BadRequest', `${path} needs a directory where a file is`);
      const child = known ?? { name: word, plainName: plain(word, false), children: [], content: new Uint8Array(0), sector: 0 };
      if (known === undefined) add(directory, child, path);
      directory = child;
    }
    add(directory, { name: last, plainName: plain(last, true), children: null, content, sector: 0 }, path);
  }
  return root;
}

function add(directory: Node, child: Node, path: string): void {
  const siblings = directory.children ?? [];
  if (!/^[A-Za-z0-9_.-]{1,26}$/.test(child.name) || /^\.+$/.test(child.name))
    throw new GodwitError('BadRequest', `${JSON.stringify(path)} is no name for a file of an ISO image`);
  if (siblings.some(({ plainName }) => plainName === child.plainName))
    throw new GodwitError('BadRequest', `${JSON.stringify(path)} is there twice, or differs from another name in a sign only`);
  siblings.push(child);
  siblings.sort((one, other) => (one.plainName < other.plainName ? -1 : 1));
}

/** `user_data` → `USER_DATA.;1`, `2018-08-27` → `2018_08_27`: upper case, one dot, a version. */
function plain(name: string, isFile: boolean): string {
  const dot = name.lastIndexOf('.');
  const [stem, extension] = isFile && dot > 0 ? [name.slice(0, dot), name.slice(dot + 1)] : [name, ''];
  const word = (text: string): string => text.toUpperCase().replace(/[^A-Z0-9_]/g, '_');
  return isFile ? `${word(stem)}.${word(extension)};1` : word(stem);
}

/** Every directory with its parent, level by level, as path tables have them. */
const withParents = (root: Node): readonly (readonly [Node, Node])[] => {
  const found: (readonly [Node, Node])[] = [[root, root]];
  for (const [directory] of found)
    for (const child of directory.children ?? []) if (child.children !== null) found.push([child, directory]);
  return found;
};

/** A directory's sector: itself, its parent, its entries. */
function recordsOf(directory: Node, parent: Node, isRoot: boolean): Buffer {
  const records = Buffer.concat([
    record('\0', directory, isRoot ? [sharing, posix(directory), rockRidge] : [posix(directory)]),
    record('\u0001', parent, [posix(parent)]),
    ...(directory.children ?? []).map((child) => record(child.plainName, child, [posix(child), alternateName(child.name)])),
  ]);
  if (records.length > sectorBytes) throw new GodwitError('BadRequest', 'too many files in one directory of a small ISO image');
  return records;
}

function record(name: string, node: Node, systemUse: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(33);
  head.set(both32(node.sector), 2);
  head.set(both32(node.children === null ? node.content.length : sectorBytes), 10);
  head.set(recordedAt, 18);
  head[25] = node.children === null ? 0 : 2;
  head.set(both16(1), 28);
  head[32] = name.length;
  const whole = Buffer.concat([head, Buffer.from(name, 'latin1'), Buffer.alloc(name.length % 2 === 0 ? 1 : 0), ...systemUse]);
  const even = Buffer.concat([whole, Buffer.alloc(whole.length % 2)]);
  if (even.length > maxRecordBytes) throw new GodwitError('BadRequest', `${JSON.stringify(node.name)} is too long for an ISO image`);
  even[0] = even.length;
  return even;
}

/** SUSP "SP": extensions begin at the first byte. */
const sharing = Buffer.from([0x53, 0x50, 7, 1, 0xbe, 0xef, 0]);
/** SUSP "ER": the extensions are Rock Ridge's. */
const rockRidge = Buffer.concat([Buffer.from([0x45, 0x52, 18, 1, 10, 0, 0, 1]), Buffer.from('RRIP_1991A')]);
/** RRIP "NM": the name as it is. */
const alternateName = (name: string): Buffer => Buffer.concat([Buffer.from([0x4e, 0x4d, 5 + name.length, 1, 0]), Buffer.from(name)]);
/** RRIP "PX": mode, links, owner, group. */
const posix = ({ children }: Node): Buffer =>
  Buffer.concat([
    Buffer.from([0x50, 0x58, 36, 1]),
    both32(children === null ? modes.file : modes.directory),
    both32(children === null ? 1 : 2),
    both32(0),
    both32(0),
  ]);

function pathTable(parents: readonly (readonly [Node, Node])[], little: boolean): Buffer {
  const numberOf = new Map(parents.map(([directory], index) => [directory, index + 1]));
  const table = Buffer.concat(
    parents.map(([directory, parent]) => {
      const head = Buffer.alloc(8);
      const name = Buffer.from(directory.plainName, 'latin1');
      head[0] = name.length;
      const up = numberOf.get(parent) ?? 1;
      if (little) head.writeUInt32LE(directory.sector, 2);
      else head.writeUInt32BE(directory.sector, 2);
      if (little) head.writeUInt16LE(up, 6);
      else head.writeUInt16BE(up, 6);
      return Buffer.concat([head, name, Buffer.alloc(name.length % 2)]);
    }),
  );
  if (table.length > sectorBytes) throw new GodwitError('BadRequest', 'too many directories for a small ISO image');
  return table;
}

function primaryDescriptor(label: string, sizeSectors: number, root: Node, tableBytes: number): Buffer {
  const descriptor = Buffer.alloc(sectorBytes);
  const text = (at: number, length: number, value: string): number => descriptor.write(value.padEnd(length), at, length, 'latin1');
  descriptor[0] = 1;
  text(1, 5, 'CD001');
  descriptor[6] = 1;
  text(8, 32, '');
  text(40, 32, label);
  descriptor.set(both32(sizeSectors), 80);
  descriptor.set(both16(1), 120);
  descriptor.set(both16(1), 124);
  descriptor.set(both16(sectorBytes), 128);
  descriptor.set(both32(tableBytes), 132);
  descriptor.writeUInt32LE(sectors.littlePathTable, 140);
  descriptor.writeUInt32BE(sectors.bigPathTable, 148);
  descriptor.set(record('\0', root, []), 156);
  text(190, 623, '');
  for (const at of [813, 830, 847, 864]) text(at, 16, '0000000000000000');
  descriptor[881] = 1;
  return descriptor;
}

function both16(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(value, 0);
  bytes.writeUInt16BE(value, 2);
  return bytes;
}

function both32(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value, 0);
  bytes.writeUInt32BE(value, 4);
  return bytes;
}
