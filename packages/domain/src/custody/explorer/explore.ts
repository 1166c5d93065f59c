/** Breadth-first search over every world, so that the first counterexample found is a shortest one. */
import type { HostCustody } from '../host-custody.ts';
import { RULES, type Rules } from '../rules.ts';
import { Interner } from './interner.ts';
import { ranIn, settled, violation, waitsForFenced } from './invariants.ts';
import { pruned } from './prune.ts';
import { type Quirks, successors } from './successors.ts';
import { firstWorld, type Host, type Message, type World } from './world.ts';

export type Scenario = {
  readonly name: string;
  readonly hosts: 2 | 3;
  readonly moves: number;
  readonly starts: number;
  readonly faults: number;
  readonly timeTravel: boolean;
  readonly stopped: boolean;
  /** End the search after so many worlds: it has then seen all of them up to some depth, and says nothing about settling. */
  readonly limit?: number;
};

export type Exploration = {
  readonly states: number;
  readonly transitions: number;
  /** Longest shortest way from the first world. */
  readonly depth: number;
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
  /** Forget messages that can change nothing; only sound with every rule on. */
  readonly prune?: boolean;
  /** Also check that every world can settle again without further faults (needs all edges in memory). */
  readonly liveness?: boolean;
};

export function explore(
  scenario: Scenario,
  {
    rules,
    quirks = { startsAtBoot: false },
    visit,
    maxStates = scenario.limit ?? Number.MAX_SAFE_INTEGER,
    liveness = true,
    prune = rules === RULES,
  }: ExploreOptions,
): Exploration {
  const messages = new Interner<Message>();
  const parts = { custody: new Interner<HostCustody>(), rest: new Interner<object>(), rows: new Interner<World['row']>() };
  const hostKeys = new WeakMap<Host, string>();
  const hostKeyOf = (host: Host): string => {
    const known = hostKeys.get(host);
    if (known !== undefined) return known;
    const { machine, durable, unsynced, qemus, boot, cutOff, promised } = host;
    const key = [
      machine === null ? '-' : parts.custody.idOf(machine),
      parts.custody.idOf(durable),
      unsynced.length === 0 ? '' : parts.rest.idOf(unsynced),
      qemus.length === 0 ? '' : qemus.map((qemu) => parts.rest.idOf(qemu)).join('+'),
      `${boot}${cutOff ? 'x' : ''}${promised.granted}.${promised.forfeited}.${promised.fence}`,
    ].join(',');
    hostKeys.set(host, key);
    return key;
  };
  const ids = new Map<string, number>();
  const parents: number[] = [];
  const labels: string[] = [];
  const good: number[] = [];
  const edgesFrom: number[] = [];
  const edgesTo: number[] = [];
  const checkedRows = new Set<number>();
  const keyOf = (world: World): string => {
    const { row, backup, frozen, hosts, net, faults, unharmed, moves, starts, ran, highestGranted } = world;
    const hostKey = hosts.map(hostKeyOf).join(';');
    const frozenKey = frozen === null ? '' : parts.rows.idOf(frozen);
    return `${hostKey}|${parts.rows.idOf(row)}|${frozenKey}|${backup === null ? '' : 'b'}|${faults}${unharmed ? 'u' : ''}.${moves}.${starts}.${ran}.${highestGranted}|${net.join('.')}`;
  };
  const trace = (id: number, last: string | null): readonly string[] => {
    const steps = last === null ? [] : [last];
    for (let at = id; at > 0; at = parents[at] ?? 0) steps.unshift(labels[at] ?? '');
    return steps;
  };
  const seen = (world: World, parent: number, label: () => string): number => {
    const key = keyOf(world);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const id = parents.length;
    ids.set(key, id);
    parents.push(parent);
    labels.push(label());
    next.push(world);
    nextIds.push(id);
    if (settled(world)) good.push(id);
    visit?.(world);
    return id;
  };

  let next: World[] = [];
  let nextIds: number[] = [];
  let transitions = 0;
  let depth = 0;
  seen(firstWorld({ ...scenario, rules }), 0, () => '');
  const result = (counterexample: Counterexample | null, complete: boolean): Exploration => ({
    states: parents.length,
    transitions,
    depth,
    complete,
    counterexample,
  });

  while (next.length > 0) {
    const frontier = next;
    depth += 1;
    const frontierIds = nextIds;
    next = [];
    nextIds = [];
    for (let at = 0; at < frontier.length; at += 1) {
      const world = frontier[at];
      const from = frontierIds[at];
      if (world === undefined || from === undefined) continue;
      for (const successor of successors(world, rules, messages, quirks)) {
        transitions += 1;
        const claim = successor.broken;
        if (claim !== null) return result({ claim, steps: trace(from, successor.label()) }, false);
        const ran = ranIn(successor.world);
        const kept = prune ? pruned(successor.world, messages) : successor.world;
        const reached = ran === kept.ran ? kept : { ...kept, ran };
        const before = parents.length;
        const id = seen(reached, from, successor.label);
        if (liveness && !successor.fault && id !== from) {
          edgesFrom.push(from);
          edgesTo.push(id);
        }
        if (id < before) continue;
        const row = parts.rows.idOf(reached.row);
        const stuck = checkedRows.has(row) ? null : waitsForFenced(reached.row);
        checkedRows.add(row);
        const broken = violation(reached) ?? stuck;
        if (broken !== null) return result({ claim: broken, steps: trace(id, null) }, false);
        if (parents.length >= maxStates) return result(null, false);
      }
    }
  }
  if (!liveness) return result(null, true);
  const stuck = firstStuck(parents.length, edgesFrom, edgesTo, good);
  return result(
    stuck === null ? null : { claim: 'no way leads back to one running copy, nor to a restart from disk', steps: trace(stuck, null) },
    true,
  );
}

/** The earliest world from which no good one can be reached, or null. */
function firstStuck(states: number, from: readonly number[], to: readonly number[], good: readonly number[]): number | null {
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
  const queue = [...good];
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
