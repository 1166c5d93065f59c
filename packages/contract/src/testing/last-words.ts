import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';

const LINES = 25;
const LINE_CHARACTERS = 600;

/** The end of a log, for the error of whoever waited for its writer in vain: the log itself goes with the test's directory. Says so when there is none. */
export async function lastWords(log: string, lines = LINES): Promise<string> {
  const text = await readFile(log, 'utf8').catch((error: NodeJS.ErrnoException) => `no ${log}: ${error.code}`);
  return lastLines(text, lines);
}

/** The same of a text that was heard. */
export function lastLines(text: string, lines = LINES): string {
  const all = text.trimEnd().split('\n');
  const last = all.slice(-lines).map((line) => (line.length > LINE_CHARACTERS ? `${line.slice(0, LINE_CHARACTERS)}…` : line));
  return last.join('\n').trim() === '' ? '(it said nothing)' : last.join('\n');
}

/** How a child stands or ended: `runs`, `ended with exit 1`, `was ended by SIGKILL`. */
export function endOf({ pid, exitCode, signalCode }: Pick<ChildProcess, 'pid' | 'exitCode' | 'signalCode'>): string {
  if (signalCode !== null) return `was ended by ${signalCode}`;
  if (exitCode !== null) return `ended with exit ${exitCode}`;
  return pid === undefined ? 'never started' : 'runs';
}
