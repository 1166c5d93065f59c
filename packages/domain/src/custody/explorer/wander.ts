/** Random walks through worlds too large to be explored to the end. Repeatable: the same seed walks the same way. */
import { RULES, type Rules } from '../rules.ts';
import type { Counterexample, Scenario } from './explore.ts';
import { disksIn, ranIn, spentMemory, violation, waitsForFenced } from './invariants.ts';
import { Successors } from './successors.ts';

export type Wandering = { readonly steps: number; readonly counterexample: Counterexample | null };

/** `walks` walks of at most `length` steps each, every world on the way held against the claims (all but the one about settling again). */
export function wander(
  scenario: Scenario,
  options: { readonly walks: number; readonly length: number; readonly seed: number; readonly rules?: Rules },
): Wandering {
  const { rules = RULES } = options;
  const random = mulberry32(options.seed);
  const worlds = new Successors(scenario, rules, { startsAtBoot: false }, false);
  const { first } = worlds;
  let steps = 0;
  for (let walk = 0; walk < options.walks; walk += 1) {
    const labels: string[] = [];
    let world = first;
    for (let at = 0; at < options.length; at += 1) {
      const all = worlds.of(world);
      // Faults are a small part of what can happen, or every walk would have used them up before anything began.
      const calm = all.filter(({ fault }) => !fault);
      const from = calm.length > 0 && random() < 0.9 ? calm : all;
      const next = from[Math.floor(random() * from.length)];
      if (next === undefined) break;
      steps += 1;
      labels.push(next.label());
      const { ran } = world;
      world = { ...next.world, ran: ranIn(next.world), disks: disksIn(next.world) };
      const claim = next.broken ?? violation(world) ?? spentMemory(ran, world) ?? waitsForFenced(world.row.value);
      if (claim !== null) return { steps, counterexample: { claim, steps: labels } };
    }
  }
  return { steps, counterexample: null };
}

/** A well-known small generator: 32 bits of state, uniform in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
