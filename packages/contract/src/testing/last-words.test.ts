import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { endOf, lastLines, lastWords } from './last-words.ts';

test('the end of a log, its longest lines cut; a log that is not there or empty says so', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'gw-last-words-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'log'), `first\nsecond\n${'x'.repeat(1000)}\n`);
  expect(await lastWords(join(dir, 'log'), 2)).toBe(`second\n${'x'.repeat(600)}…`);
  expect(await lastWords(join(dir, 'none'))).toContain('ENOENT');
  expect(lastLines('\n')).toBe('(it said nothing)');
});

test('a signal is told before an exit code; a child that could not be started has neither', () => {
  expect(endOf({ pid: 7, exitCode: null, signalCode: 'SIGKILL' })).toBe('was ended by SIGKILL');
  expect(endOf({ pid: 7, exitCode: 3, signalCode: null })).toBe('ended with exit 3');
  expect(endOf({ pid: 7, exitCode: null, signalCode: null })).toBe('runs');
  expect(endOf({ pid: undefined, exitCode: null, signalCode: null })).toBe('never started');
});
