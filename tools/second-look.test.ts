import { expect, it } from 'vitest';
import { afterSecondLook, allPassed, secondLook, unsteady } from './second-look.ts';
import type { FileReport, Report } from './stages.ts';

const file = (name: string, status: string, ...tests: readonly string[]): FileReport => ({
  name: `/root/${name}`,
  status,
  assertionResults: tests.map((one, index) => ({ fullName: `test ${index}`, status: one })),
});
const report = (...testResults: readonly FileReport[]): Report => {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const count = (wanted: string): number => tests.filter((status) => status === wanted).length;
  return {
    success: testResults.every(({ status }) => status === 'passed'),
    numTotalTests: tests.length,
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('skipped'),
    testResults,
  };
};

it('what failed is looked at again, unless there is much of it, it hung, or it guards custody', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => file(`e2e/${name}.ts`, 'failed', 'failed')) as [FileReport, FileReport, FileReport];
  expect(secondLook(report(a, b, file('d', 'passed', 'passed')), false, '/root')).toEqual(['e2e/a.ts', 'e2e/b.ts']);
  expect(secondLook(report(a, b, c), false, '/root')).toEqual([]);
  expect(secondLook(report(a), true, '/root')).toEqual([]);
  expect(secondLook(null, false, '/root')).toEqual([]);
  for (const strict of [
    'packages/agent/src/migration/agent-death.real.test.ts',
    'e2e/40-faults.e2e.ts',
    'packages/agent/src/custody/gate.real.test.ts',
    'packages/agent/src/custody/conformance/a.real.test.ts',
  ])
    expect(secondLook(report(a, file(strict, 'failed', 'failed')), false, '/root')).toEqual([]);
});

it('what failed has to pass: skipped is not enough', () => {
  const first = report(file('a', 'failed', 'failed', 'passed'));
  expect(allPassed(first, report(file('a', 'passed', 'passed', 'passed')))).toBe(true);
  expect(allPassed(first, report(file('a', 'passed', 'skipped', 'passed')))).toBe(false);
});

it('what was run again counts as it ended then, a hook that failed in it too, and nothing counts twice', () => {
  const first = report(file('a', 'passed', 'passed', 'skipped'), file('b', 'failed', 'failed', 'passed'), file('c', 'failed', 'skipped'));
  const second = report(file('b', 'passed', 'passed', 'passed'), file('c', 'passed', 'passed'));
  expect(afterSecondLook(first, second)).toMatchObject({
    success: true,
    numTotalTests: 5,
    numPassedTests: 4,
    numFailedTests: 0,
    numPendingTests: 1,
  });
  expect(unsteady(first, '/root')).toEqual(['b: test 0', 'c']);
  // One that was not run again still counts as failed.
  expect(afterSecondLook(first, report(file('b', 'passed', 'passed', 'passed')))).toMatchObject({ success: false });
});
