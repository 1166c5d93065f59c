import { describe, expect, it } from 'vitest';
import { CHECKS_BUDGET_SECONDS } from './checks.ts';
import { countOf, type Report, stages } from './stages.ts';

const green: Report = { success: true, numTotalTests: 3, numPassedTests: 3, numFailedTests: 0, numPendingTests: 0 };

describe('countOf', () => {
  it('takes the counts of a green stage as they are', () => {
    expect(countOf(green, 0, false)).toEqual({ passed: 3, failed: 0, skipped: 0, note: null });
  });

  it('does not count a failure twice', () => {
    expect(countOf({ ...green, success: false, numPassedTests: 1, numFailedTests: 2 }, 1, false).failed).toBe(2);
  });

  it.each([
    ['no report', null, 1, false],
    ['no tests', { ...green, numTotalTests: 0, numPassedTests: 0 }, 0, false],
    ['only skipped tests', { ...green, numPassedTests: 0, numPendingTests: 3 }, 0, false],
    ['a file that does not load', { ...green, success: false }, 1, false],
    ['an unhandled rejection', green, 1, false],
    ['a hang', green, 0, true],
  ] as const)('counts %s as a failure', (_name, report, exitCode, timedOut) => {
    const count = countOf(report, exitCode, timedOut);
    expect(count.failed).toBe(1);
    expect(count.note).not.toBeNull();
  });
});

it('keeps the whole run below twenty minutes', () => {
  const total = stages.reduce((sum, stage) => sum + stage.budgetSeconds, CHECKS_BUDGET_SECONDS);
  expect(total).toBeLessThan(20 * 60);
});
