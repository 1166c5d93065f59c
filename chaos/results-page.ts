import { type EmptyCell, faultWords, type LiveCell } from './cells.ts';
import { type PastRun, passedRunning } from './past-runs.ts';
import { emptySummary } from './summary.ts';

/** chaos/RESULTS.md: every cell of the table with its runs, as results.jsonl has them, whatever has been changed since; then why the others are empty. */
export function resultsPage(live: readonly LiveCell[], empty: readonly EmptyCell[], past: readonly PastRun[]): string {
  const runsOf = ({ fault, victim, phase }: LiveCell): readonly PastRun[] =>
    past.filter((one) => one.fault === fault && one.victim === victim && one.phase === phase);
  const all = live.map((cell) => ({ cell, runs: runsOf(cell) }));
  const passed = all.filter(({ runs }) => runs.at(-1)?.passed === true);
  const twice = all.filter(({ runs }) => passedRunning(runs) >= 2);
  const rows = all.map(({ cell, runs }) => {
    const last = runs.at(-1);
    const name = `| ${cell.fault} | ${cell.victim} | ${cell.phase} |`;
    if (last === undefined) return `${name} 0 | 0 | never run | | |`;
    const end = last.wayOut === null ? last.end : `${last.end} (fenced)`;
    const how = last.passed ? 'passed' : `FAILED: ${oneLine(last.breaches[0] ?? '')}`;
    return `${name} ${runs.length} | ${runs.filter((one) => one.passed).length} | ${how} | ${last.revision ?? 'not noted'} | ${oneLine(end)} |`;
  });
  return [
    '# The fault suite, cell by cell',
    '',
    'Made by `make chaos` from `chaos/results.jsonl`; do not edit. A cell is fault × victim × phase; `last` is how its newest run went, at the commit beside it (`+`: changed since that commit).',
    '',
    `${live.length} cells: ${all.filter(({ runs }) => runs.length > 0).length} were run, of which ${passed.length} passed at their newest run, ${twice.length} at their newest two. ${past.length} runs in all.`,
    '',
    ...[...new Set(live.map(({ fault }) => fault))].map((fault) => `- **${fault}**: ${faultWords[fault]}`),
    '',
    '| fault | victim | phase | runs | passed | last | commit | end |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    '```',
    emptySummary(empty),
    '```',
    '',
  ].join('\n');
}

const oneLine = (text: string): string => text.replaceAll('|', '/').replaceAll('\n', ' ').slice(0, 160);
