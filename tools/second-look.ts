import { relative } from 'node:path';
import type { FileReport, Report } from './stages.ts';

/** More files than this that fail at once are no accident. */
const MOST_FILES = 2;
/** What is there for the rule that a guest runs once, and for acknowledged writes: there, a failure in twenty runs is a failure. */
const STRICT = /(^|\/)(custody\/|agent-death|late-self-resume|recover-server|database-failover|40-faults)/;

/**
 * The files of a stage that are run once more, alone on the machine, after some of their tests have failed; empty: its failures stand. Never asked for a stage that was stopped, for more than two
 * files, or for tests of custody.
 */
export function secondLook(report: Report | null, timedOut: boolean, root: string): readonly string[] {
  const failed = (report?.testResults ?? []).filter(({ status }) => status === 'failed').map(({ name }) => relative(root, name));
  if (timedOut || failed.length > MOST_FILES || failed.some((file) => STRICT.test(file))) return [];
  return failed;
}

/** Whether everything that had failed has passed: what is skipped the second time has not. */
export function allPassed(first: Report, second: Report): boolean {
  const passed = new Set(
    (second.testResults ?? []).flatMap(({ name, assertionResults }) =>
      assertionResults.filter(({ status }) => status === 'passed').map(({ fullName }) => `${name} ${fullName}`),
    ),
  );
  return (first.testResults ?? []).every(({ name, assertionResults }) =>
    assertionResults.every(({ status, fullName }) => status !== 'failed' || passed.has(`${name} ${fullName}`)),
  );
}

/** The stage as it stands after the second look: what was run again counts as it ended then, the rest as before. */
export function afterSecondLook(first: Report, second: Report): Report {
  const again = new Set((second.testResults ?? []).map(({ name }) => name));
  const files = [...(first.testResults ?? []).filter(({ name }) => !again.has(name)), ...(second.testResults ?? [])];
  const tests = files.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const count = (...wanted: readonly string[]): number => tests.filter((status) => wanted.includes(status)).length;
  return {
    success: second.success && files.every(({ status }) => status !== 'failed'),
    numTotalTests: tests.length,
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('pending', 'skipped'),
    numTodoTests: count('todo'),
    testResults: files,
  };
}

/** One line for each test, or file, that failed and then passed. */
export function unsteady(first: Report, root: string): readonly string[] {
  return (first.testResults ?? [])
    .filter(({ status }) => status === 'failed')
    .flatMap(({ name, assertionResults }: FileReport) => {
      const tests = assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => `: ${fullName}`);
      return (tests.length === 0 ? [''] : tests).map((test) => `${relative(root, name)}${test}`);
    });
}
