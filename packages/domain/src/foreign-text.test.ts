import fc from 'fast-check';
import { expect, test } from 'vitest';
import { foreignText, longestForeignText } from './foreign-text.ts';

test('a terminal and a database can take what is left of a text, and it is short', () => {
  expect(foreignText('\u001b]0;owned\u0007\u001b[2J\u0000it\u009bfailed\u007f\u202e')).toBe(']0;owned [2J it failed');
  expect(foreignText('as it is: "ä" 時 👍')).toBe('as it is: "ä" 時 👍');
  expect(foreignText('half \ud800')).toBe('half \ufffd');
  expect(foreignText({ class: 7 })).toBe('{"class":7}');
  expect(foreignText(undefined)).toBe('null');
  expect(foreignText('x'.repeat(60_000))).toBe(`${'x'.repeat(longestForeignText - 1)}…`);
});

test('whatever it is given', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.integer({ min: 1, max: 100 }), (said, most) => {
      const text = foreignText(said, most);
      expect([...text].length).toBeLessThanOrEqual(most);
      expect(text).not.toMatch(/[\p{Cc}\u202e]/u);
      expect(text.isWellFormed()).toBe(true);
      expect(foreignText(text, most)).toBe(text);
    }),
    { numRuns: 50 },
  );
});
