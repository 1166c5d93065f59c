import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { tellSlowStep } from './tell-slow-step.ts';

const told: unknown[] = [];
const log = {
  warn: ({ step, ms }: Record<string, unknown>, message: string) => void told.push([step, Math.round(Number(ms) / 1000), message]),
};
beforeEach(() => {
  told.length = 0;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a step that takes long is told while it goes on, ever more seldom, and no more once it is done', async () => {
  const step = Promise.withResolvers<string>();
  const done = tellSlowStep(log, 'storage pool nfs', () => step.promise);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(told).toEqual([]);
  await vi.advanceTimersByTimeAsync(40_000);
  expect(told).toEqual([5, 10, 20, 40].map((seconds) => ['storage pool nfs', seconds, 'the agent does not serve yet: it waits']));
  step.resolve('open');
  expect(await done).toBe('open');
  await vi.advanceTimersByTimeAsync(1_000_000);
  expect(told).toHaveLength(4);
});

test('one that fails throws what it threw, and is told no more', async () => {
  await expect(tellSlowStep(log, 'the guest bridge', () => Promise.reject(new Error('no such uplink')))).rejects.toThrow('no such uplink');
  expect(vi.getTimerCount()).toBe(0);
});
