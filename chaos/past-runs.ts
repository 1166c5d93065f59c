/** What chaos/results.jsonl remembers, and which commit a run was of. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CellResult } from './run-cell.ts';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));

export const resultsOfHere = path.join(here, 'results.jsonl');

/** `revision` is absent in runs of the suite's first day, which did not note it. */
export type PastRun = CellResult & { readonly at: string; readonly revision?: string };

/** In the order in which they were run. */
export async function pastRuns(file: string): Promise<readonly PastRun[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as PastRun);
}

/** The commit that is checked out, with a `+` when the product or the suite was changed since. */
export async function revision(): Promise<string> {
  const head = await git('rev-parse', '--short=10', 'HEAD');
  const changed = await git('status', '--porcelain', '--', 'packages', 'bin', 'chaos', ':!chaos/results.jsonl');
  return changed === '' ? head : `${head}+`;
}

/** How many of a cell's runs have passed since its newest that failed. */
export function passedRunning(runs: readonly CellResult[]): number {
  return runs.length - 1 - runs.findLastIndex(({ passed }) => !passed);
}

/** The runs of `commit` and of what came after it; of `ever`, all. A run of a changed checkout counts as of the commit it was changed from. Rejects when there is no such commit. */
export async function runsSince(commit: string, file: string): Promise<readonly PastRun[]> {
  if (commit === 'ever') return pastRuns(file);
  const first = await git('rev-parse', '--short=10', `${commit}^{commit}`);
  const later = new Set([first, ...(await git('rev-list', '--abbrev-commit', '--abbrev=10', `${first}..HEAD`)).split('\n')]);
  return (await pastRuns(file)).filter((one) => one.revision !== undefined && later.has(one.revision.replace('+', '')));
}

async function git(...words: readonly string[]): Promise<string> {
  return (await run('git', ['-C', path.dirname(here), ...words])).stdout.trim();
}
