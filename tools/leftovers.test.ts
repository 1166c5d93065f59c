import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { leftovers, leftSince } from './leftovers.ts';

it('names what is left with whose it is, and lets what is ending end', async () => {
  const before = leftovers();
  const directory = await mkdtemp('/tmp/gw-left-');
  // Only the name and the words of the command line count.
  const server = spawn('/bin/sh', ['-c', 'read -r end', '-D', directory], {
    argv0: '/opt/bin/postgres',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  try {
    const postgres = `postgres ${server.pid} of ${directory}`;
    await expect.poll(() => leftSince(before, 0), { timeout: 10_000 }).toEqual(expect.arrayContaining([directory, postgres]));
    server.kill('SIGKILL');
    await rm(directory, { recursive: true });
    const later = await leftSince(before, 2_000);
    expect(later).not.toContain(directory);
    expect(later).not.toContain(postgres);
  } finally {
    server.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  }
});
