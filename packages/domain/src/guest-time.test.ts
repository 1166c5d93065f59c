import { expect, test } from 'vitest';
import { guestTimeText, lookedAgain, noAnswer, notAsked } from './guest-time.ts';

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

test('an order without an answer is told by what is found later', () => {
  const first = { outcome: 'unsure', driftBeforeMs: -40_000, driftAfterMs: null, errorMs: 1, detail: 'no answer' } as const;
  const right = { outcome: 'right', driftBeforeMs: -0.5, driftAfterMs: null, errorMs: 0.4, detail: '' } as const;
  const again = 'an order had no answer in time, and the clock was looked at again';
  expect(lookedAgain(first, right)).toEqual({ outcome: 'set', driftBeforeMs: -40_000, driftAfterMs: -0.5, errorMs: 0.4, detail: again });
  // Carried out late, with an old time: mended then.
  expect(lookedAgain(first, { ...right, outcome: 'set', driftBeforeMs: -25_000, driftAfterMs: 0.1 })).toMatchObject({
    outcome: 'set',
    driftBeforeMs: -40_000,
    driftAfterMs: 0.1,
  });
  expect(lookedAgain(first, { ...right, outcome: 'not-set', driftBeforeMs: -3, detail: 'barred' })).toMatchObject({
    outcome: 'not-set',
    driftAfterMs: -3,
    detail: `${again}; barred`,
  });
  // What nobody knows stays so.
  expect(lookedAgain(first, { ...first, driftBeforeMs: -7 })).toEqual(first);
  expect(lookedAgain(first, noAnswer('silent'))).toEqual({ ...first, detail: 'no answer; asked again: no answer; silent' });
  expect(lookedAgain(first, notAsked('it moved on'))).toMatchObject({
    outcome: 'unsure',
    detail: 'no answer; asked again: not asked; it moved on',
  });
});
