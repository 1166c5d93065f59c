import { type EmptyCell, faults, faultWords } from './cells.ts';
import type { CellResult } from './run-cell.ts';

/** What was run, as a table of fault × victim × phase, and the sum. */
export function summary(results: readonly CellResult[]): string {
  const byCell = Map.groupBy(results, ({ fault, victim, phase }) => `| ${fault} | ${victim} | ${phase} |`);
  const rows = [...byCell].map(([cell, runs]) => {
    const ends = [...new Set(runs.map(({ end, wayOut }) => (wayOut === null ? end : `${end}, fenced`)))].join(' · ');
    return `${cell} ${runs.filter(({ passed }) => passed).length} of ${runs.length} | ${ends} |`;
  });
  const failed = [...byCell.values()].filter((runs) => runs.some(({ passed }) => !passed)).length;
  return [
    ...faults.filter((fault) => results.some((one) => one.fault === fault)).map((fault) => `${fault}: ${faultWords[fault]}`),
    '',
    '| fault | victim | phase | passed | ends |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `${byCell.size} cells (${results.length} runs), ${byCell.size - failed} passed, ${failed} failed`,
  ].join('\n');
}

/** The empty cells, those with one reason in one line. */
export function emptySummary(empty: readonly EmptyCell[]): string {
  const byReason = Map.groupBy(empty, ({ fault, victim, empty: why }) => `${fault} · ${victim}: ${why}`);
  return [
    `${empty.length} empty cells:`,
    ...[...byReason].map(([what, some]) => `  ${what} (${some.map(({ phase }) => phase).join(', ')})`),
  ].join('\n');
}
