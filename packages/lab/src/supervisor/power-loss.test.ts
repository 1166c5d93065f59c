import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropUnsyncedBytes } from './power-loss.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gw-lab-power-'));
});
afterEach(() => rm(dir, { recursive: true }));

test('bytes after the last fsync are gone, synced ones and files without a note stay', async () => {
  await mkdir(path.join(dir, 'custody'));
  await writeFile(path.join(dir, 'custody', 'a.journal'), 'synced|lost');
  await writeFile(path.join(dir, 'custody', 'a.journal.synced'), '6\n');
  await writeFile(path.join(dir, 'whole.journal'), 'all');
  await writeFile(path.join(dir, 'whole.journal.synced'), '3');
  await writeFile(path.join(dir, 'other'), 'untouched');
  expect(await dropUnsyncedBytes(dir)).toEqual([path.join(dir, 'custody', 'a.journal')]);
  expect(await readFile(path.join(dir, 'custody', 'a.journal'), 'utf8')).toBe('synced');
  expect(await readFile(path.join(dir, 'whole.journal'), 'utf8')).toBe('all');
  expect(await readFile(path.join(dir, 'other'), 'utf8')).toBe('untouched');
});

test('a note that says nothing proves nothing: all bytes are lost', async () => {
  await writeFile(path.join(dir, 'j'), 'data');
  await writeFile(path.join(dir, 'j.synced'), 'x');
  await dropUnsyncedBytes(dir);
  expect(await readFile(path.join(dir, 'j'), 'utf8')).toBe('');
});
