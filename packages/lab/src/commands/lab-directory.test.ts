import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { labDirectory } from './lab-directory.ts';

let dir: string;
beforeEach(async () => {
  dir = await realpath(await mkdtemp(path.join(tmpdir(), 'gw-lab-dir-')));
});
afterEach(() => rm(dir, { recursive: true }));

test('a lab is the same whichever way leads to it, before it exists too', async () => {
  await symlink(dir, `${dir}-link`);
  try {
    const straight = await labDirectory(path.join(dir, 'not', 'yet'));
    expect(await labDirectory(path.join(`${dir}-link`, 'not', 'yet'))).toEqual(straight);
    expect(straight.dir).toBe(path.join(dir, 'not', 'yet'));
    expect((await labDirectory(dir)).labId).not.toBe(straight.labId);
  } finally {
    await rm(`${dir}-link`);
  }
});
