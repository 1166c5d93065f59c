import { mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { linkPostgresLibraries } from './postgres-links.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'godwit-links-'));
  await mkdir(join(directory, 'native/lib'), { recursive: true });
  await writeFile(join(directory, 'native/lib/libpq.so.5.18'), 'the library');
  const links = ['libpq.so', 'libpq.so.5'].map((name) => ({ source: 'native/lib/libpq.so.5.18', target: `native/lib/${name}` }));
  await writeFile(join(directory, 'native/pg-symlinks.json'), JSON.stringify(links));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

it('makes every link once, and relative, so that the directory can move', async () => {
  expect(linkPostgresLibraries(directory)).toBe(2);
  expect(await readlink(join(directory, 'native/lib/libpq.so.5'))).toBe('libpq.so.5.18');
  expect(await readFile(join(directory, 'native/lib/libpq.so'), 'utf8')).toBe('the library');
  expect(linkPostgresLibraries(directory)).toBe(0);
});

it('replaces a link that points nowhere', async () => {
  await symlink('gone', join(directory, 'native/lib/libpq.so'));
  expect(linkPostgresLibraries(directory)).toBe(2);
  expect(await readFile(join(directory, 'native/lib/libpq.so'), 'utf8')).toBe('the library');
});
