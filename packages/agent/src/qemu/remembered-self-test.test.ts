import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type RememberedSelfTestOptions, rememberedSelfTest } from './remembered-self-test.ts';

let stateDir: string;
let program: string;
let runs: number;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'gw-memo-'));
  program = join(stateDir, 'qemu');
  await writeFile(program, 'one');
  runs = 0;
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

const ask = (changed: Partial<RememberedSelfTestOptions> = {}, works = true) =>
  rememberedSelfTest({
    stateDir,
    program,
    bootId: 'boot-1',
    holdsFor: { version: '10.0.2' },
    test: async () => {
      runs += 1;
      return [
        { feature: 'pre-copy', works: true, detail: '', durationMs: runs },
        { feature: 'tls', works, detail: '', durationMs: runs },
      ];
    },
    ...changed,
  });

it('runs once, and a start after that gets the same results', async () => {
  const first = await ask();
  expect(await ask()).toEqual(first);
  expect(runs).toBe(1);
});

it('runs again after a boot, with another QEMU or another agent', async () => {
  await ask();
  await ask({ bootId: 'boot-2' });
  await ask({ bootId: 'boot-2', holdsFor: { version: '10.1.0' } });
  await writeFile(program, 'another');
  await ask({ bootId: 'boot-2', holdsFor: { version: '10.1.0' } });
  expect(runs).toBe(4);
});

it('never remembers a failure, of a feature or of the whole, nor a record that is not one', async () => {
  await ask({}, false);
  await expect(ask({ test: () => Promise.reject(new Error('no QEMU')) })).rejects.toThrow('no QEMU');
  await ask();
  expect(runs).toBe(2);
  for (const broken of ['', '{', 'null', '{"key":7}']) {
    await writeFile(join(stateDir, 'self-test.json'), broken);
    await ask();
  }
  expect(runs).toBe(6);
});
