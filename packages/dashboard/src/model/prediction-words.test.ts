import { expect, it } from 'vitest';
import { predictionWords } from './prediction-words.ts';

it('tells ranges, or why there are none', () => {
  const figures = { durationMs: { lower: 1200, upper: 3400 }, blackoutMs: { lower: 20, upper: 61.4 } };
  expect(predictionWords({ verdict: 'converges', why: '', ...figures })).toBe(
    'Expected: takes 1.2 s to 3.4 s; the guest stands still for 20 ms to 61 ms (nine of ten moves).',
  );
  const none = { durationMs: null, blackoutMs: null };
  expect(predictionWords({ verdict: 'will-not-converge', why: 'It writes 2 GB/s.', ...none })).toBe(
    'It will not converge: It writes 2 GB/s.',
  );
  expect(predictionWords({ verdict: 'unknown', why: 'No move was seen.', ...none })).toBe('Nothing can be predicted: No move was seen.');
});
