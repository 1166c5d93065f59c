import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { main } from './cli.ts';

let out: string;
let err: string;
beforeEach(() => {
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

test.each([
  [[], 'a command is missing'],
  [['explode'], 'no command "explode"'],
  [['up', 'and', 'away'], '"and away" is too much'],
  [['up', '--hosts', 'three'], '--hosts must be a whole number'],
  [['up', '--hosts', '0'], '--hosts must be a whole number from 1'],
  [['up', '--hosts', '-1'], '--hosts'],
  [['up', '--port', '70000'], '--port must be'],
  [['up', '--simulated', '1.5'], '--simulated must be'],
  [['up', '--sudo'], '--sudo'],
])('%j is wrong usage: exit code 2, one sentence, the usage, and nothing done', async (argv, words) => {
  expect(await main(argv)).toBe(2);
  expect(err).toContain(words);
  expect(out).toBe('');
});

test('help goes to stdout and succeeds', async () => {
  expect(await main(['--help'])).toBe(0);
  expect(out).toContain('godwit lab up');
});

test('status of a directory without a lab is a failure that says how to start one', async () => {
  expect(await main(['status', '--dir', '/nonexistent/gw-lab-test'])).toBe(1);
  expect(err).toMatch(/"godwit lab up" starts one \[NOT_RUNNING\]/);
});
