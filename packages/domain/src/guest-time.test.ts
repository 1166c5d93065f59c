import { expect, test } from 'vitest';
import { guestTimeText, noAnswer } from './guest-time.ts';

test('a line for the record says what was, what is, how sure that is, and why', () => {
  expect(guestTimeText({ outcome: 'set', driftBeforeMs: -517.24, driftAfterMs: 0.44, errorMs: 0.8, detail: '' })).toBe(
    'set: 517.2 ms behind before, 0.4 ms ahead now (± 0.8 ms)',
  );
  expect(guestTimeText({ outcome: 'right', driftBeforeMs: 0.2, driftAfterMs: null, errorMs: 1.5, detail: '' })).toBe(
    'right: 0.2 ms ahead (± 1.5 ms)',
  );
  expect(guestTimeText({ outcome: 'not-set', driftBeforeMs: -9, driftAfterMs: -9, errorMs: 1, detail: 'it said so' })).toBe(
    'not set: 9 ms behind before, 9 ms behind now (± 1 ms); it said so',
  );
  expect(guestTimeText(noAnswer('nobody there'))).toBe('no answer; nobody there');
});
