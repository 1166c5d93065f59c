import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { exitCodes } from './command-error.ts';

it('the README has every exit code, and no other', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const table = readme.slice(readme.indexOf('## Exit codes')).split('\n\n')[1] ?? '';
  expect([...table.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))).toEqual(Object.values(exitCodes));
});
