/** A check reads the sources and runs nothing of ours; it passes when its command exits with 0. */
export interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

/** Every check of `make test`, in the order in which they run. */
export const checks: readonly Check[] = [
  { name: 'lock file', command: ['node', 'tools/complete-lockfile.ts', '--check'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'types of the dashboard', command: ['tsc', '-p', 'packages/dashboard'] },
  { name: 'format', command: ['biome', 'check', '--error-on-warnings'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings', '--report-unused-disable-directives'] },
  { name: 'imports', command: ['node', 'tools/check-imports.ts'] },
  { name: 'words', command: ['node', 'tools/check-words.ts'] },
  { name: 'duplicates', command: ['node', 'tools/check-duplicates.ts'] },
  { name: 'unused code', command: ['knip', '--no-progress'] },
];

export const CHECKS_BUDGET_SECONDS = 60;
