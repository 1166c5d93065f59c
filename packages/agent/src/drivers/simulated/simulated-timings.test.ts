import { expect, it } from 'vitest';
import { simulatedTimings } from './simulated-timings.ts';

it('lets one host differ from what holds for all, and refuses what means nothing', () => {
  const ofAll = JSON.stringify({ qemuStartMs: 7, failureRate: 0.5 });
  expect(simulatedTimings({ failureRate: 1 }, ofAll)).toMatchObject({ qemuStartMs: 7, failureRate: 1, blackoutMs: 15 });
  expect(simulatedTimings({}, ofAll)).toMatchObject({ failureRate: 0.5 });
  expect(() => simulatedTimings({ failures: 1 }, '')).toThrow('failures');
  expect(() => simulatedTimings({}, '{"blackoutMs": -1}')).toThrow('blackoutMs');
});
