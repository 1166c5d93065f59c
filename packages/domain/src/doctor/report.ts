import type { Finding } from './finding.ts';

const signs = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' } as const;
const rank = { problem: 0, warning: 1, ok: 2 } as const;

/** The findings as lines for a person, the worst first, each with its remedy below it, and a last line that counts them. */
export function reportText(findings: readonly Finding[]): string {
  const lines = findings
    .toSorted((a, b) => rank[a.level] - rank[b.level])
    .map((one) => `${signs[one.level]}  ${one.check}: ${one.sentence}${one.remedy === '' ? '' : `\n         → ${one.remedy}`}`);
  return `${[...lines, verdict(findings)].join('\n')}\n`;
}

/** `3 problems, 1 warning, 12 ok` */
function verdict(findings: readonly Finding[]): string {
  const count = (level: Finding['level']): number => findings.filter((one) => one.level === level).length;
  const [problems, warnings] = [count('problem'), count('warning')];
  return `${problems} problem${problems === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}, ${count('ok')} ok`;
}

/** Whether something has to be done: the exit code of `godwit doctor` is 1 then, else 0. */
export const hasProblems = (findings: readonly Finding[]): boolean => findings.some((one) => one.level === 'problem');
