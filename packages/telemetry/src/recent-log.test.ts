import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newest, openRecentLog, readRecentLog } from './recent-log.ts';

describe('the latest lines of a log', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'godwit-log-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('keeps two files at most, and the newest lines', async () => {
    const file = join(directory, 'a/recent.log');
    const log = openRecentLog(file, 1_000);
    for (let line = 0; line < 200; line++) log.stream.write(`{"n":${line},"id":"m${line % 2}"}\n`);
    log.close();
    log.stream.write('after its end\n');
    expect((await readdir(join(directory, 'a'))).sort()).toEqual(['recent.log', 'recent.log.1']);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const { lines, cut } = await readRecentLog(file, ['"m1"']);
    expect(cut).toBe(false);
    expect(lines.at(-1)).toBe('{"n":199,"id":"m1"}');
    expect(lines.length).toBeGreaterThan(20);
    expect(lines.every((line) => line.includes('"m1"'))).toBe(true);
  });

  it('goes on in the file that is there, and has no lines where there is none', async () => {
    const file = join(directory, 'recent.log');
    for (const word of ['one', 'two']) {
      const log = openRecentLog(file);
      log.stream.write(`${word} x\n`);
      log.close();
    }
    expect((await readRecentLog(file, ['x'])).lines).toEqual(['one x', 'two x']);
    expect(await readRecentLog(join(directory, 'none'), ['x'])).toEqual({ lines: [], cut: false });
    expect((await readRecentLog(file, [''])).lines).toEqual([]);
  });

  it('answers with no more than fits, the newest', () => {
    const many = Array.from({ length: 5_000 }, (_, index) => `line ${index}`);
    expect(newest(many)).toMatchObject({ cut: true });
    expect(newest(many).lines).toHaveLength(2_000);
    expect(newest(many).lines.at(-1)).toBe('line 4999');
    expect(newest(['a'.repeat(2_000_000), 'b']).lines).toEqual(['b']);
  });
});
