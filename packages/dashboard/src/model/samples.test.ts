import { expect, it } from 'vitest';
import { noteEarlierSamples, noteSample, onSample, samplesOf } from './samples.ts';

const sample = (at: number) => ({ at, remainingBytes: 1, dirtyBytesPerSecond: 0, sentBytesPerSecond: 0 });

it('keeps samples in order, tells of each new one, and drops repetitions', () => {
  let told = 0;
  const stop = onSample(() => told++);
  for (const at of [10, 20, 20, 15, 30]) noteSample('a', sample(at));
  stop();
  noteSample('a', sample(40));
  expect(samplesOf('a').map(({ at }) => at)).toEqual([10, 20, 30, 40]);
  expect(told).toBe(3);
  expect(samplesOf('nobody')).toBe(samplesOf('nobody either'));
});

it('thins out instead of growing without end, and keeps the newest', () => {
  for (let at = 1; at <= 10_000; at++) noteSample('b', sample(at));
  expect(samplesOf('b').length).toBeLessThanOrEqual(2001);
  expect(samplesOf('b').at(-1)?.at).toBe(10_000);
});

it('puts what was told before the page was opened in front of what it saw itself', () => {
  for (const at of [30, 40]) noteSample('c', sample(at));
  noteEarlierSamples('c', [10, 20, 30, 40].map(sample));
  noteEarlierSamples('c', [10, 20].map(sample));
  expect(samplesOf('c').map(({ at }) => at)).toEqual([10, 20, 30, 40]);
  noteEarlierSamples('d', [1, 2].map(sample));
  noteSample('d', sample(2));
  expect(samplesOf('d').length).toBe(2);
});
