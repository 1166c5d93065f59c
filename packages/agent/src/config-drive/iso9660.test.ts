import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type IsoFile, iso9660 } from './iso9660.ts';

/** A reader of its own: from the volume descriptor down, by Rock Ridge names. The Linux driver reads such an image in e2e/30. */
function readIso(image: Buffer): { readonly label: string; readonly files: readonly IsoFile[] } {
  const descriptor = image.subarray(16 * 2_048);
  expect(descriptor.toString('latin1', 0, 6)).toBe('\u0001CD001');
  expect(descriptor.readUInt32LE(80) * 2_048).toBe(image.length);
  const files: IsoFile[] = [];
  const walk = (sector: number, size: number, prefix: string): void => {
    const directory = image.subarray(sector * 2_048, sector * 2_048 + size);
    let last = '';
    for (let at = 0; at < directory.length && directory[at] !== 0; at += directory[at] ?? 0) {
      const record = directory.subarray(at, at + (directory[at] ?? 0));
      const plainLength = record[32] ?? 0;
      const plain = record.toString('latin1', 33, 33 + plainLength);
      expect(plain > last || plain.length === 1).toBe(true);
      last = plain;
      if (plain === '\0' || plain === '\u0001') continue;
      let name = '';
      for (let use = 33 + plainLength + (plainLength % 2 === 0 ? 1 : 0); use + 4 <= record.length; use += record[use + 2] ?? 255)
        if (record.toString('latin1', use, use + 2) === 'NM') name = record.toString('latin1', use + 5, use + (record[use + 2] ?? 0));
      const [extent, length] = [record.readUInt32LE(2), record.readUInt32LE(10)];
      expect([record.readUInt32BE(6), record.readUInt32BE(14)]).toEqual([extent, length]);
      if (((record[25] ?? 0) & 2) !== 0) walk(extent, length, `${prefix}${name}/`);
      else files.push({ path: prefix + name, content: Uint8Array.from(image.subarray(extent * 2_048, extent * 2_048 + length)) });
    }
  };
  walk(descriptor.readUInt32LE(158), descriptor.readUInt32LE(166), '');
  return { label: descriptor.toString('latin1', 40, 72).trimEnd(), files };
}

const byPath = (files: readonly IsoFile[]): ReadonlyMap<string, string> =>
  new Map(files.map(({ path, content }) => [path, Buffer.from(content).toString('hex')]));

describe('iso9660', () => {
  it('holds what it was given, by the names it was given, and is the same each time', () => {
    const words = fc.constantFrom('openstack', 'latest', '2018-08-27', 'ec2', 'content');
    const names = fc.constantFrom('meta_data.json', 'user_data', 'network_data.json', 'vendor_data2.json', 'a.b.c', 'x');
    const file = fc.record({
      path: fc.tuple(fc.array(words, { maxLength: 4 }), names).map(([directories, name]) => [...directories, name].join('/')),
      content: fc.uint8Array({ maxLength: 5_000 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(file, { selector: ({ path }) => path, maxLength: 8 }), (files) => {
        const image = iso9660('config-2', files);
        const read = readIso(image);
        expect(read.label).toBe('config-2');
        expect(byPath(read.files)).toEqual(byPath(files));
        expect(iso9660('config-2', [...files].reverse()).length).toBe(image.length);
        expect(iso9660('config-2', files).equals(image)).toBe(true);
      }),
    );
  });
  it.each([
    ['a name with a sign that needs escaping', ['a b']],
    ['a way out', ['../x']],
    ['an empty name', ['a//b']],
    ['a name that is too long', ['x'.repeat(40)]],
    ['two names that differ in a sign only', ['a-b', 'a_b']],
    ['a file where a directory is needed', ['a', 'a/b']],
    ['more than a directory holds', Array.from({ length: 40 }, (_, index) => `file${index}`)],
  ])('refuses %s', (_name, paths) => {
    expect(() =>
      iso9660(
        'x',
        paths.map((path) => ({ path, content: new Uint8Array(1) })),
      ),
    ).toThrow();
  });
});
