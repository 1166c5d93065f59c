import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ConsolePosition } from '../drivers/guest-consoles.ts';
import { segmentPath } from './console-log.ts';
import { followConsole } from './follow-console.ts';

let dir: string;
let ended: AbortController;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gw-follow-'));
  ended = new AbortController();
});
afterEach(async () => {
  ended.abort();
  await rm(dir, { recursive: true, force: true });
});

/** Reads until the text is there, and returns where that is. */
async function readUntil(log: AsyncIterator<{ readonly data: Buffer; readonly position: ConsolePosition }>, text: string) {
  let seen = '';
  let position: ConsolePosition = { epoch: -1, offset: -1 };
  while (!seen.includes(text)) {
    const { value, done } = await log.next();
    if (done === true) throw new Error(`the log ended after ${JSON.stringify(seen)}`);
    seen += value.data.toString();
    position = value.position;
  }
  return { seen, position };
}

it('gives the end of the log and every byte that is added, across a move, once', async () => {
  await writeFile(segmentPath(dir, 4), 'old old old ');
  await writeFile(segmentPath(dir, 7), 'tick 1\n');
  const log = followConsole(dir, null, 11, ended.signal);
  expect((await readUntil(log, 'tick 1\n')).seen).toBe('old tick 1\n');
  await appendFile(segmentPath(dir, 7), 'tick 2\n');
  expect((await readUntil(log, 'tick 2\n')).seen).toBe('tick 2\n');
  // The destination's QEMU is there and waits; the guest still runs on the source, whatever is looked at in between.
  const going = readUntil(log, '...');
  await writeFile(segmentPath(dir, 8), '');
  const running = setInterval(() => void appendFile(segmentPath(dir, 7), '.'), 40);
  expect((await going.finally(() => clearInterval(running))).seen).toMatch(/^\.+$/);
  await appendFile(segmentPath(dir, 7), 'tick 3\n');
  expect((await readUntil(log, 'tick 3\n')).seen).toMatch(/^\.*tick 3\n$/);
  await appendFile(segmentPath(dir, 8), 'tick 4\n');
  expect(await readUntil(log, 'tick 4\n')).toEqual({ seen: 'tick 4\n', position: { epoch: 8, offset: 7 } });
});

it('goes on from a place, also one whose segment is gone', async () => {
  await writeFile(segmentPath(dir, 3), 'abcdef');
  await writeFile(segmentPath(dir, 9), 'ghi');
  const log = followConsole(dir, { epoch: 3, offset: 4 }, 0, ended.signal);
  expect((await readUntil(log, 'ghi')).seen).toBe('efghi');
  const later = followConsole(dir, { epoch: 5, offset: 70 }, 0, ended.signal);
  expect((await readUntil(later, 'ghi')).seen).toBe('ghi');
});

it('goes on at the end of a segment that was cut', async () => {
  await writeFile(segmentPath(dir, 1), 'x'.repeat(100));
  const log = followConsole(dir, null, 5, ended.signal);
  await readUntil(log, 'xxxxx');
  await truncate(segmentPath(dir, 1), 20);
  // What is added before it has looked counts as cut away with the rest.
  const adding = setInterval(() => void appendFile(segmentPath(dir, 1), 'new'), 40);
  const { seen } = await readUntil(log, 'new').finally(() => clearInterval(adding));
  expect(seen).toMatch(/^(new)+$/);
});

it('waits for a log that does not exist yet, and ends when it is told to', async () => {
  const absent = join(dir, 'absent');
  const log = followConsole(absent, null, 100, ended.signal);
  const next = log.next();
  setTimeout(() => ended.abort(), 50);
  expect((await next).done).toBe(true);
});
