import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { consoleSegments, lastLines, readConsole, segmentPath, trimConsole, writeCarriedSegment } from './console-log.ts';

let dir: string;
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'gw-console-')), 'console');
});
afterEach(() => rmSync(join(dir, '..'), { recursive: true }));

describe('the console log', () => {
  test('is one text over all hosts, whenever the earlier parts arrive', async () => {
    expect((await readConsole(dir, 1000, 0)).toString()).toBe('');
    mkdirSync(dir);
    writeFileSync(segmentPath(dir, 7), 'three\n');
    await writeCarriedSegment(dir, 5, 7, Buffer.from('two\n'));
    await writeCarriedSegment(dir, 3, 7, Buffer.from('on'));
    await writeCarriedSegment(dir, 3, 7, Buffer.from('one\n'));
    writeFileSync(join(dir, 'stray.txt'), 'x');
    expect((await readConsole(dir, 1000, 0)).toString()).toBe('one\ntwo\nthree\n');
    expect((await consoleSegments(dir)).map((one) => one.epoch)).toEqual([3, 5, 7]);
    expect((await readConsole(dir, 8, 0)).toString()).toBe('o\nthree\n');
    expect((await readConsole(dir, 1000, 2)).toString()).toBe('two\nthree\n');
  });

  test('a carried part never replaces this host’s own', async () => {
    mkdirSync(dir);
    writeFileSync(segmentPath(dir, 7), 'mine');
    await expect(writeCarriedSegment(dir, 7, 7, Buffer.from('theirs'))).rejects.toBeInstanceOf(RangeError);
    await expect(writeCarriedSegment(dir, 8, 7, Buffer.from('theirs'))).rejects.toBeInstanceOf(RangeError);
    expect((await readConsole(dir, 1000, 0)).toString()).toBe('mine');
  });

  test('is cut to its limits, newest kept, at a line, while another process appends', async () => {
    mkdirSync(dir);
    const limits = { segmentBytes: 100, totalBytes: 150 };
    for (const epoch of [1, 2, 3]) writeFileSync(segmentPath(dir, epoch), `${`${epoch} line\n`.repeat(12)}`);
    const current = segmentPath(dir, 4);
    const appender = openSync(current, 'a');
    try {
      writeSync(appender, 'a flooding line\n'.repeat(100));
      await trimConsole(dir, limits);
      writeSync(appender, 'after\n');
      expect((await readConsole(dir, 10_000, 0)).toString()).toBe(`${'3 line\n'.repeat(12)}${'a flooding line\n'.repeat(3)}after\n`);
      const before = await consoleSegments(dir);
      await trimConsole(dir, limits);
      expect(await consoleSegments(dir)).toEqual(before);
    } finally {
      closeSync(appender);
    }
  });

  test('its last lines are as many as asked for, from whatever text', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'bc', ''), { maxLength: 8 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 10 }),
        (lines, ended, count) => {
          const text = lines.join('\n') + (ended && lines.length > 0 ? '\n' : '');
          const all = text === '' ? [] : (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
          const expected = all.slice(-count).join('\n') + (text.endsWith('\n') ? '\n' : '');
          expect(lastLines(Buffer.from(text), count).toString()).toBe(text === '' ? '' : expected);
        },
      ),
    );
  });
});
