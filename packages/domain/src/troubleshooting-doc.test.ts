import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { policyFieldNames, policyFields } from './convergence/policy.ts';
import { errorCodes } from './errors.ts';
import { migrationCauses } from './migration.ts';

const doc = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

/** The rows of a chapter's table by their first cell, each with its other cells. */
function rows(text: string, chapter: string): ReadonlyMap<string, readonly string[]> {
  const from = text.indexOf(`## ${chapter}`);
  const lines =
    text
      .slice(from + 3)
      .split(/\n## /)[0]
      ?.split('\n') ?? [];
  return new Map(
    lines
      .map((line) => /^\| `(\w+)` \|(.*)\|$/.exec(line))
      .filter((match) => match !== null)
      .map(([, first = '', rest = '']) => [first, rest.split('|').map((cell) => cell.trim())]),
  );
}

describe('docs/troubleshooting.md', () => {
  it('has every error code, and no other', () => {
    expect([...rows(doc('troubleshooting.md'), 'What an API refused').keys()].toSorted()).toEqual([...errorCodes].toSorted());
  });

  it('has every cause of a migration’s end, and no other', () => {
    const causes = rows(doc('troubleshooting.md'), 'Why a migration ended');
    expect([...causes.keys()].toSorted()).toEqual([...migrationCauses].toSorted());
    for (const [cause, [what]] of causes) expect([cause, what === '']).toEqual([cause, false]);
  });
});

describe('docs/live-migration.md', () => {
  it('has every field of a policy with its extra spec and default', () => {
    const fields = rows(doc('live-migration.md'), 'What a move may cost: policies');
    expect([...fields.keys()]).toEqual([...policyFieldNames]);
    for (const name of policyFieldNames)
      expect([name, ...(fields.get(name) ?? []).slice(0, 2)]).toEqual([
        name,
        `\`${policyFields[name].extraSpec}\``,
        String(policyFields[name].default),
      ]);
  });
});
