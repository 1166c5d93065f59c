import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { cpioArchive } from './cpio-archive.ts';

test('cpio lists what was archived, with modes, sizes and device numbers', () => {
  const archive = cpioArchive([
    { kind: 'directory', path: 'dev', mode: 0o755 },
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'init', mode: 0o755, content: Buffer.from('#!x') },
    { kind: 'file', path: 'empty', mode: 0o644, content: Buffer.alloc(0) },
  ]);
  const listing = execFileSync('cpio', ['-tv', '--quiet', '--numeric-uid-gid'], { input: archive, encoding: 'utf8' });
  const lines = listing
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/));
  expect(lines.map((words) => [words[0], words.at(-1)])).toEqual([
    ['drwxr-xr-x', 'dev'],
    ['crw-------', 'dev/console'],
    ['-rwxr-xr-x', 'init'],
    ['-rw-r--r--', 'empty'],
  ]);
  expect(lines[1]?.slice(4, 6)).toEqual(['5,', '1']);
  expect(lines[2]?.[4]).toBe('3');
});

test('the same entries give the same bytes', () => {
  const entries = [{ kind: 'file', path: 'a', mode: 0o644, content: Buffer.from('xy') }] as const;
  expect(cpioArchive(entries).equals(cpioArchive(entries))).toBe(true);
});
