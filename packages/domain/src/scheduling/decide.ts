import type { HostCheck, Rejection } from './filter.ts';
import { filters } from './filters.ts';
import type { HostState } from './host-state.ts';
import { type Load, loadOf } from './load.ts';
import type { ServerDemand } from './server-demand.ts';
import type { Snapshot } from './snapshot.ts';
import { tieBreak } from './tie-break.ts';
import type { WeigherName } from './weigher.ts';
import { weighers } from './weighers.ts';

/** A host that passes every filter. `rank` counts from 1; `weights` are in the weighers' order, lower is better. */
export type Candidate = {
  readonly host: HostState;
  readonly rank: number;
  readonly weights: readonly { readonly weigher: WeigherName; readonly weight: number }[];
  readonly loadBefore: Load;
  readonly loadAfter: Load;
};

export type Decision = {
  readonly demand: ServerDemand;
  /** Best first; at most `limit` of the `passing`. Empty: no valid host. */
  readonly chosen: readonly Candidate[];
  readonly passing: number;
  readonly hosts: readonly HostState[];
  /** Every reason why the host at that index of `hosts` does not pass; empty when it does. Found when it is asked for: ten thousand hosts' reasons are not kept to name five that pass. */
  readonly rejectionsOf: (index: number) => readonly Rejection[];
};

export type DecideOptions = {
  /** Breaks ties between equally good hosts: the same seed gives the same order, whatever the order of the snapshot. */
  readonly seed: number;
  /** How many candidates to rank: the first and its alternates. Default 5; Infinity for the table of all hosts. */
  readonly limit?: number;
};

const passes: readonly Rejection[] = [];

/**
 * Asks every filter about every host and ranks those that pass. Pure: the snapshot, demand and seed alone decide; the
 * order of hosts in the snapshot does not matter.
 */
export function decide(snapshot: Snapshot, demand: ServerDemand, options: DecideOptions): Decision {
  const checks = filters.flatMap((filter) => filter.prepare(demand) ?? []);
  const passing: number[] = [];
  const { hosts } = snapshot;
  for (const [index, host] of hosts.entries()) if (checks.every((check) => check(host) === null)) passing.push(index);
  return {
    demand,
    chosen: rank(snapshot, demand, passing, options),
    passing: passing.length,
    hosts,
    rejectionsOf: (index) => rejectionsOf(hosts[index] as HostState, checks), // an index of `hosts`
  };
}

function rejectionsOf(host: HostState, checks: readonly HostCheck[]): readonly Rejection[] {
  let rejections: Rejection[] | null = null;
  for (const check of checks) {
    const rejection = check(host);
    if (rejection === null) continue;
    if (rejections === null) rejections = [rejection];
    else rejections.push(rejection);
    // What it lacks beyond that is nothing that anyone could give it.
    if (rejection.code === 'BareMetalTarget') break;
  }
  return rejections ?? passes;
}

/**
 * The best `limit` of `passing`. Weights stand in one flat array, and the best are kept by insertion into a short list:
 * ten thousand candidates are neither made objects of nor sorted to name five.
 */
function rank(snapshot: Snapshot, demand: ServerDemand, passing: readonly number[], { seed, limit = 5 }: DecideOptions): Candidate[] {
  const active = weighers.flatMap((weigher) => {
    const weigh = weigher.prepare(demand);
    return weigh === null ? [] : [{ name: weigher.name, weigh }];
  });
  const width = active.length + 1;
  const keys = new Float64Array(passing.length * width);
  const hostAt = (position: number): HostState => snapshot.hosts[passing[position] as number] as HostState; // positions come from loops over `passing`
  for (let position = 0; position < passing.length; position++) {
    const host = hostAt(position);
    let slot = position * width;
    for (const { weigh } of active) keys[slot++] = weigh(host);
    keys[slot] = tieBreak(snapshot.idHashes[passing[position] as number] as number, seed);
  }
  const compare = (a: number, b: number): number => {
    for (let slot = 0; slot < width; slot++) {
      const difference = (keys[a * width + slot] as number) - (keys[b * width + slot] as number);
      if (difference !== 0) return difference;
    }
    return hostAt(a).id < hostAt(b).id ? -1 : 1; // equal hashes of different ids
  };
  return best(passing.length, limit, compare).map((position, index) => {
    const host = hostAt(position);
    return {
      host,
      rank: index + 1,
      weights: active.map(({ name }, slot) => ({ weigher: name, weight: keys[position * width + slot] as number })),
      loadBefore: loadOf(host),
      loadAfter: loadOf(host, demand.flavor),
    };
  });
}

/** The first `limit` of the numbers 0 … count-1 in the order of `compare`. */
function best(count: number, limit: number, compare: (a: number, b: number) => number): number[] {
  if (count <= limit || limit > 64)
    return Array.from({ length: count }, (_, index) => index)
      .sort(compare)
      .slice(0, limit);
  const list: number[] = [];
  for (let candidate = 0; candidate < count; candidate++) {
    if (list.length === limit && compare(candidate, list[limit - 1] as number) >= 0) continue;
    let at = list.length < limit ? list.length : limit - 1;
    for (; at > 0 && compare(candidate, list[at - 1] as number) < 0; at--) list[at] = list[at - 1] as number;
    list[at] = candidate;
  }
  return list;
}
