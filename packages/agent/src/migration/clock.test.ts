import fc from 'fast-check';
import { expect, test } from 'vitest';
import { offsetOf } from './clock.ts';

test('the true offset lies within the stated error, however uneven the way', () => {
  const reading = fc.record({
    there: fc.double({ min: 0, max: 50, noNaN: true }),
    work: fc.double({ min: 0, max: 5, noNaN: true }),
    back: fc.double({ min: 0, max: 50, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.array(reading, { minLength: 1, maxLength: 9 }), (offset, ways) => {
      const { offsetMs, errorMs } = offsetOf(
        ways.map(({ there, work, back }, turn) => {
          const sentAtMs = turn * 1000;
          return {
            sentAtMs,
            theirReceivedAtMs: sentAtMs + there + offset,
            theirSentAtMs: sentAtMs + there + work + offset,
            receivedAtMs: sentAtMs + there + work + back,
          };
        }),
      );
      expect(Math.abs(offsetMs - offset)).toBeLessThanOrEqual(errorMs + 1e-6);
      expect(errorMs).toBeLessThanOrEqual(Math.min(...ways.map(({ there, back }) => (there + back) / 2)) + 1e-6);
    }),
  );
});

test('no reading is no offset', () => expect(() => offsetOf([])).toThrow(RangeError));
