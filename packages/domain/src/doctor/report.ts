import type { Finding } from './finding.ts';

const signs = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' } as const;
const rank = { problem: 0, warning: 1, ok: 2 } as const;

/** So many good findings of one check, each about another host, stand on a line of their own; more become one line. */
const goodLines = 3;
const hostsNamed = 4;

/** The findings as lines for a person, the worst first, each with its remedy below it, and a last line that counts them. */
export function reportText(findings: readonly Finding[]): string {
  const good = findings.filter(({ level }) => level === 'ok');
  const lines = findings
    .filter(({ level }) => level !== 'ok')
    .toSorted((a, b) => rank[a.level] - rank[b.level])
    .map(lineOf);
  return `${[...lines, ...goodText(good), verdict(findings)].join('\n')}\n`;
}

const lineOf = (one: Finding): string =>
  `${signs[one.level]}  ${one.check}: ${one.sentence}${one.remedy === '' ? '' : `\n         → ${one.remedy}`}`;

/** A thousand hosts are well on one line. */
function goodText(good: readonly Finding[]): readonly string[] {
  return [...Map.groupBy(good, ({ check }) => check)].flatMap(([check, all]) => {
    const hosts = [...new Set(all.map(({ subject }) => subject).filter((subject) => subject !== ''))];
    if (hosts.length <= goodLines) return all.map(lineOf);
    const more = hosts.length > hostsNamed ? ` and ${hosts.length - hostsNamed} more` : '';
    const others = all.filter(({ subject }) => subject === '').map(lineOf);
    return [...others, `${signs.ok}  ${check}: nothing wrong on ${hosts.length} hosts: ${hosts.slice(0, hostsNamed).join(', ')}${more}.`];
  });
}

/** `3 problems, 1 warning, 12 ok` */
function verdict(findings: readonly Finding[]): string {
  const count = (level: Finding['level']): number => findings.filter((one) => one.level === level).length;
  const [problems, warnings] = [count('problem'), count('warning')];
  return `${problems} problem${problems === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}, ${count('ok')} ok`;
}

/** Whether something has to be done: the exit code of `godwit doctor` is 1 then, else 0. */
export const hasProblems = (findings: readonly Finding[]): boolean => findings.some((one) => one.level === 'problem');
