/**
 * Breadth-first search over every world. When worlds are reduced: all that can be reached without a fault first, then all with one, and so on, because what has been reached with fewer
 * faults need not be looked at again with more. The first counterexample found has the fewest faults then, and the fewest steps among these; else the fewest steps.
 */
import type { Rules } from '../rules.ts';
import { reducible } from './canonical.ts';
import { GrowingNumbers } from './growing-numbers.ts';
import type { Quirks } from './host-changes.ts';
import { disksIn, ranIn, settled, spentMemory, violation, waitsForFenced } from './invariants.ts';
import { Pruner } from './prune.ts';
import { type Successor, Successors } from './successors.ts';
import type { World } from './world.ts';
import { WorldTable } from './world-table.ts';

export type Scenario = {
  readonly name: string;
  readonly hosts: 2 | 3;
  readonly moves: number;
  readonly starts: number;
  /** How often the controller orders the guest to be suspended; resumes are starts. */
  readonly suspends?: number;
  readonly faults: number;
  readonly timeTravel: boolean;
  readonly stopped: boolean;
  /** What else it begins with: a server that is suspended on A; or one that was, given up when A had been cut off and had not heard of it. */
  readonly memory?: 'kept' | 'left';
  /** Its disks are local: a move copies them. */
  readonly localDisks?: boolean;
  /**
   * An operator's word that a host is fenced stands in the database until that is let back: custody is told of it at any time, and the host may answer meanwhile. Without: custody is told at once, and a
   * host that was powered off is let back at once.
   */
  readonly lateFences?: boolean;
  /** End the search after so many worlds: it has then seen all of them up to some depth, and says nothing about settling. */
  readonly limit?: number;
};

export type Exploration = {
  readonly states: number;
  readonly transitions: number;
  /** Worlds that a number of faults, and no fewer, reaches: without one, with one, … */
  readonly byFaults: readonly number[];
  /** False when `maxStates` ended the search first. */
  readonly complete: boolean;
  readonly counterexample: Counterexample | null;
};

export type Counterexample = { readonly claim: string; readonly steps: readonly string[] };

export type ExploreOptions = {
  readonly rules: Rules;
  readonly quirks?: Quirks;
  readonly maxStates?: number;
  /** Called with every new world. */
  readonly visit?: (world: World) => void;
  /** Take worlds that nothing can tell apart for one; only sound with every rule on. */
  readonly reduce?: boolean;
  /** Also check that every world can settle again without further faults (needs all edges in memory). */
  readonly liveness?: boolean;
  /** Called now and then. */
  readonly progress?: (states: number, transitions: number, faults: number) => void;
};

/** A world waiting to be looked at: who led to it, by which of its successors. */
type Waiting = { readonly world: World; readonly from: number; readonly ordinal: number };

export function explore(scenario: Scenario, options: ExploreOptions): Exploration {
  const {
    rules,
    quirks = { startsAtBoot: false },
    visit,
    maxStates = scenario.limit ?? Number.MAX_SAFE_INTEGER,
    liveness = true,
  } = options;
  const reduce = options.reduce ?? reducible(rules);
  const steps = new Successors(scenario, rules, quirks, reduce);
  const pruner = new Pruner(steps);
  const seen = new WorldTable();
  const [parents, ordinals, good, edgesFrom, edgesTo] = [0, 1, 2, 3, 4].map(() => new GrowingNumbers()) as [
    GrowingNumbers,
    GrowingNumbers,
    GrowingNumbers,
    GrowingNumbers,
    GrowingNumbers,
  ];
  const checkedRows = new Set<number>();
  const byFaults: number[] = [];
  let transitions = 0;

  /** The world as it is compared: what it may still become without the faults that are left is the same for all that share it. */
  const formOf = (successor: Successor): World => {
    const ran = ranIn(successor.world);
    const disks = disksIn(successor.world);
    const kept = reduce ? pruner.pruned(successor.world) : successor.world;
    return kept.ran === ran && kept.disks === disks ? kept : { ...kept, ran, disks };
  };
  const keyOf = (world: World): number[] => {
    const { row, backup, frozen, hosts, net, faults, unharmed, moves, starts, suspends, ran, highestGranted, disks } = world;
    const key = [row.id, frozen === null ? -1 : frozen.id, moves, starts, suspends, ran, hosts.length];
    // A database that travels back can forget what was granted; otherwise the row knows it.
    key.push(backup === null ? 0 : 1, scenario.timeTravel ? highestGranted : -1);
    if (disks !== null) key.push(disks.ran, disks.left);
    // With more faults left it can do all that it can do with fewer, and more: the one that was reached with fewer comes first.
    if (!reduce) key.push(faults, unharmed ? 1 : 0, highestGranted);
    for (const { id } of hosts) key.push(id);
    for (const id of net) key.push(id);
    return key;
  };
  const { first } = steps;
  /** The way to a world, by walking it again. */
  const trace = (id: number, last: number | null): readonly string[] => {
    const path: number[] = last === null ? [] : [last];
    for (let at = id; at > 0; at = parents.at(at)) path.unshift(ordinals.at(at));
    const lines: string[] = [];
    let world = first;
    for (const ordinal of path) {
      const successor = steps.of(world)[ordinal];
      if (successor === undefined) throw new Error('the way to a counterexample is lost');
      lines.push(successor.label());
      world = formOf(successor);
    }
    return lines;
  };
  const known = (world: World): number => seen.find(keyOf(world));
  const enter = ({ world, from, ordinal }: Waiting): number => {
    const id = parents.length;
    seen.add(keyOf(world), id);
    parents.push(from);
    ordinals.push(ordinal);
    if (reduce && world.faults > 0) {
      // In the last layer worlds are compared in a form that no fault can reach any more.
      const key = keyOf(pruner.pruned({ ...world, faults: 0 }));
      if (seen.find(key) === -1) seen.add(key, id);
    }
    if (settled(world)) good.push(id);
    visit?.(world);
    return id;
  };
  const result = (counterexample: Counterexample | null, complete: boolean): Exploration => ({
    states: parents.length,
    transitions,
    byFaults,
    complete,
    counterexample,
  });

  const layers: { readonly worlds: Waiting[]; readonly keys: WorldTable }[] = [];
  const layerOf = ({ faults }: World) => (layers[scenario.faults - faults] ??= { worlds: [], keys: new WorldTable() });
  layerOf(first).worlds.push({ world: first, from: 0, ordinal: 0 });
  for (let faults = 0; faults < layers.length; faults += 1) {
    const layer = layers[faults]?.worlds ?? [];
    layers[faults] = { worlds: [], keys: new WorldTable() };
    const startedAt = parents.length;
    let frontier: { readonly world: World; readonly id: number }[] = [];
    for (const one of layer.splice(0)) if (known(one.world) === -1) frontier.push({ world: one.world, id: enter(one) });
    while (frontier.length > 0) {
      const next: { readonly world: World; readonly id: number }[] = [];
      for (const { world, id: from } of frontier) {
        const successors = steps.of(world);
        for (let ordinal = 0; ordinal < successors.length; ordinal += 1) {
          const successor = successors[ordinal];
          if (successor === undefined) continue;
          transitions += 1;
          if (successor.broken !== null) return result({ claim: successor.broken, steps: trace(from, ordinal) }, false);
          const reached = formOf(successor);
          let id = known(reached);
          if (id === -1) {
            const broken = violation(reached) ?? spentMemory(world.ran, reached) ?? stuckRow(reached);
            if (broken !== null) return result({ claim: broken, steps: trace(from, ordinal) }, false);
            if (successor.fault && reduce) {
              const { worlds, keys } = layerOf(reached);
              const key = keyOf(reached);
              if (keys.find(key) !== -1) continue;
              keys.add(key, 0);
              worlds.push({ world: reached, from, ordinal });
              continue;
            }
            id = enter({ world: reached, from, ordinal });
            next.push({ world: reached, id });
            if (parents.length % 100_000 === 0) options.progress?.(parents.length, transitions, faults);
            if (parents.length >= maxStates) return result(null, false);
          }
          if (liveness && !successor.fault && id !== from) {
            edgesFrom.push(from);
            edgesTo.push(id);
          }
        }
      }
      frontier = next;
    }
    byFaults.push(parents.length - startedAt);
  }
  if (!liveness) return result(null, true);
  const stuck = firstStuck(parents.length, edgesFrom.view(), edgesTo.view(), good.view());
  return result(
    stuck === null ? null : { claim: 'no way leads back to one running copy, nor to a restart from disk', steps: trace(stuck, null) },
    true,
  );

  function stuckRow({ row }: World): string | null {
    if (checkedRows.has(row.id)) return null;
    checkedRows.add(row.id);
    return waitsForFenced(row.value);
  }
}

/** The earliest world from which no good one can be reached, or null. */
function firstStuck(states: number, from: Int32Array, to: Int32Array, good: Int32Array): number | null {
  const starts = new Int32Array(states + 1);
  for (const id of to) starts[id + 1] = (starts[id + 1] ?? 0) + 1;
  for (let at = 0; at < states; at += 1) starts[at + 1] = (starts[at + 1] ?? 0) + (starts[at] ?? 0);
  const fill = starts.slice();
  const sources = new Int32Array(from.length);
  for (let edge = 0; edge < from.length; edge += 1) {
    const target = to[edge] ?? 0;
    const slot = fill[target] ?? 0;
    sources[slot] = from[edge] ?? 0;
    fill[target] = slot + 1;
  }
  const reaches = new Uint8Array(states);
  const queue = Array.from(good);
  for (const id of good) reaches[id] = 1;
  for (let id = queue.pop(); id !== undefined; id = queue.pop())
    for (let slot = starts[id] ?? 0; slot < (starts[id + 1] ?? 0); slot += 1) {
      const source = sources[slot] ?? 0;
      if (reaches[source] === 1) continue;
      reaches[source] = 1;
      queue.push(source);
    }
  const stuck = reaches.indexOf(0);
  return stuck === -1 ? null : stuck;
}
