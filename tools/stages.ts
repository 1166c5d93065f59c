/** One stage of the tests: a project of vitest.config.ts. */
export interface Stage {
  readonly name: 'unit' | 'real' | 'e2e';
  readonly contents: string;
  /** What the stage is meant to take on two cores. It is reported, and stopped as hung when it takes twice as long. */
  readonly budgetSeconds: number;
}

/** The stages in their order. With the checks they stay below twenty minutes. */
export const stages: readonly Stage[] = [
  { name: 'unit', contents: 'pure and fast: no root, no QEMU, no database', budgetSeconds: 90 },
  { name: 'real', contents: 'real QEMU, PostgreSQL and network namespaces, two files at a time', budgetSeconds: 500 },
  { name: 'e2e', contents: 'the whole product from outside, two labs at a time', budgetSeconds: 530 },
];

/** The part of vitest's JSON report that is read here. */
export interface Report {
  readonly success: boolean;
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests?: number;
  readonly testResults?: readonly FileReport[];
}

/** One file of tests; `name` is its absolute path. A file can fail without a failed test: in a hook, or when it does not load. */
export interface FileReport {
  readonly name: string;
  readonly status: string;
  readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
}

export interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Why there is a failure that is not a failed test. */
  readonly note: string | null;
}

/**
 * What a stage counts for. A stage without a report, without tests, or that failed outside its tests (a file that does not load, an
 * unhandled rejection, a hang) has at least one failure.
 */
export function countOf(report: Report | null, exitCode: number, timedOut: boolean): Count {
  const passed = report?.numPassedTests ?? 0;
  const failed = report?.numFailedTests ?? 0;
  const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0);
  const note = failureNote(report, exitCode, timedOut);
  return { passed, failed: failed === 0 && note !== null ? 1 : failed, skipped, note };
}

function failureNote(report: Report | null, exitCode: number, timedOut: boolean): string | null {
  if (timedOut) return 'stopped after twice its budget';
  if (report === null) return 'it left no report';
  if (report.numTotalTests === 0) return 'no tests found';
  if (report.numPassedTests === 0 && report.numFailedTests === 0) return 'every test was skipped';
  if ((!report.success || exitCode !== 0) && report.numFailedTests === 0) return 'failed outside its tests';
  return null;
}
