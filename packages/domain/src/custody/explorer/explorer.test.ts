import { describe, expect, test } from 'vitest';
import { RULES } from '../rules.ts';
import { type Counterexample, explore, type Scenario } from './explore.ts';
import { forgetful } from './modelled-journal.ts';
import { DEEP_SCENARIOS, SCENARIOS, WILDERNESS } from './scenarios.ts';
import { wander } from './wander.ts';
import type { World } from './world.ts';

const deep = process.env['GODWIT_EXPLORE'] === 'deep';
const explored = (scenario: Scenario): Counterexample | null => {
  const started = performance.now();
  const { states, transitions, complete, byFaults, counterexample } = explore(scenario, { rules: RULES });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `${scenario.name}: ${states} states, ${transitions} transitions, ${byFaults.join(' + ')} by faults${complete ? '' : ' (not to the end)'}, ${seconds} s`,
  );
  return counterexample;
};

describe('no world breaks a claim, and from each the server can settle again', () => {
  test.each(SCENARIOS)('$name', { timeout: 900_000 }, (scenario) => {
    expect(explored(scenario)).toBeNull();
  });
});

describe.runIf(deep)('deeper', () => {
  test.each(DEEP_SCENARIOS)('$name', { timeout: 6 * 3_600_000 }, (scenario) => {
    expect(explored(scenario)).toBeNull();
  });
});

describe('random walks where there is too much to explore', () => {
  test.each(WILDERNESS)('$name', { timeout: deep ? 3_600_000 : 300_000 }, (scenario) => {
    const { steps, counterexample } = wander(scenario, { walks: deep ? 50_000 : 150, length: 120, seed: 1 });
    console.log(`${scenario.name}: ${steps} steps`);
    expect(counterexample).toBeNull();
  });
});

test('taking worlds that nothing can tell apart for one loses none', { timeout: 300_000 }, () => {
  /** What a world means while every agent lives: without what only a journal, a message or a promise tells of it. */
  const seen = (reduce: boolean): ReadonlySet<string> => {
    const worlds = new Set<string>();
    let restores = false;
    const visit = ({ row, hosts, moves, starts }: World): void => {
      if (hosts.some(({ value }) => value.machine === null)) return;
      const told = hosts.map(({ value: { machine, qemus, boot, cutOff } }) => [
        // In a world with a restore the answer to a late `resume` is compared too, whatever is taken to be forgettable.
        machine === null ? null : { ...forgetful(machine, restores), ...(restores && { disarmedThrough: machine.disarmedThrough }) },
        qemus,
        boot,
        cutOff,
      ]);
      worlds.add(JSON.stringify([row.value, told, moves, starts]));
    };
    for (const [moves, faults, timeTravel] of [
      [2, 0, false],
      [1, 1, false],
      [1, 1, true],
    ] as const) {
      restores = timeTravel;
      explore(
        { name: '', hosts: 2, moves, starts: 0, faults, timeTravel, stopped: false },
        { rules: RULES, reduce, visit, liveness: false },
      );
    }
    return worlds;
  };
  const [reduced, whole] = [seen(true), seen(false)];
  expect([...whole].filter((world) => !reduced.has(world))).toEqual([]);
  expect(reduced.size).toBe(whole.size);
});
