import { appendFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const file = path.join(path.dirname(fileURLToPath(import.meta.url)), 'results.jsonl');

export type Result = {
  readonly at: string;
  readonly benchmark: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly raw: unknown;
};

export const appendResult = (result: Result): void => appendFileSync(file, `${JSON.stringify(result)}\n`);

/** What was measured before by this benchmark, the oldest first. */
export const resultsOf = (benchmark: string): readonly Result[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Result)
    .filter((result) => result.benchmark === benchmark);
