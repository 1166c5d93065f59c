import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SilenceMeter } from './silence-meter.ts';

test('finds the longest silence wherever it is, one that goes on included', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 50 }), (pauses) => {
      const meter = new SilenceMeter();
      let now = 500;
      meter.sign(now);
      for (const pause of pauses.slice(0, -1)) meter.sign((now += pause));
      now += pauses.at(-1) ?? 0;
      expect(meter.read(now).longestMs).toBe(Math.max(...pauses));
    }),
  );
});

test('a new window counts a silence across its border in full, and no earlier one', () => {
  const meter = new SilenceMeter();
  meter.sign(0);
  meter.sign(900);
  meter.reset();
  meter.sign(1000);
  expect(meter.read(1010)).toEqual({ longestMs: 100, endedAtMs: 1000, signs: 1 });
});

test('before the first sign there is no silence to speak of', () => {
  expect(new SilenceMeter().read(1e6)).toEqual({ longestMs: 0, endedAtMs: 0, signs: 0 });
});
