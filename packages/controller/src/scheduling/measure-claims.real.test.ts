import { expect, it } from 'vitest';
import { measureClaims } from './measure-claims.ts';

it('measures every way of deciding on a small cloud', async () => {
  const measured = await measureClaims(20, 100, 8);
  expect([measured.hosts, measured.servers, measured.figures.length]).toEqual([20, 100, 3]);
  for (const { decisionP50Ms, decisionP99Ms, storeP50Ms, allP50Ms } of measured.figures) {
    expect(Math.min(decisionP50Ms, storeP50Ms)).toBeGreaterThan(0);
    expect(decisionP99Ms).toBeGreaterThanOrEqual(decisionP50Ms);
    expect(allP50Ms).toBeGreaterThan(storeP50Ms);
  }
});
