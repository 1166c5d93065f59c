import { expect, test } from 'vitest';
import { clockIsSynchronised } from './host-clock.ts';

test('only a plain word of the kernel counts', async () => {
  expect(await clockIsSynchronised(() => Promise.resolve('yes\n'))).toBe(true);
  expect(await clockIsSynchronised(() => Promise.resolve('no\n'))).toBe(false);
  expect(await clockIsSynchronised(() => Promise.resolve(''))).toBeNull();
  expect(await clockIsSynchronised(() => Promise.reject(new Error('System has not been booted with systemd')))).toBeNull();
});
