import { expect, test } from 'vitest';
import { RULES, type Rules } from '../rules.ts';
import { explore } from './explore.ts';
import { MUTANTS } from './mutants.ts';

const maxStates = 200_000;

for (const { name, rules, quirks, scenario } of MUTANTS)
  test(`caught: ${name}`, { timeout: 300_000 }, () => {
    const { states, counterexample } = explore({ name, ...scenario }, { rules, maxStates, reduce: false, ...(quirks && { quirks }) });
    const lines = counterexample?.steps.map((step, at) => `  ${at + 1}. ${step}`) ?? [];
    console.log([`${name}, after ${states} states: ${counterexample?.claim ?? 'NOT CAUGHT'}`, ...lines].join('\n'));
    expect(counterexample).not.toBeNull();
  });

test('every rule has a mutant that breaks it', () => {
  const rules = Object.keys(RULES) as (keyof Rules)[];
  expect(rules.filter((rule) => !MUTANTS.some((mutant) => !mutant.rules[rule]))).toEqual([]);
});
