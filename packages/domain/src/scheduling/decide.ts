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

/** What the filters say of one host: it passes when `rejections` is empty. */
export type HostVerdict = { readonly host: HostState; readonly rejections: readonly Rejection[] };

export type Decision = {
  readonly demand: ServerDemand;
  /** Best first; at most `limit` of the `passing`. Empty: no valid host. */
  readonly chosen: readonly Candidate[];
  readonly passing: number;
  /** One per host of the snapshot, in its order. */
  readonly verdicts: readonly HostVerdict[];
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
  const verdicts: HostVerdict[] = [];
  const passing: number[] = [];
  for (const [index, host] of snapshot.hosts.entries()) {
    const rejections = rejectionsOf(host, checks);
    if (rejections.length === 0) passing.push(index);
    verdicts.push({ host, rejections });
  }
  return { demand, chosen: rank(snapshot, demand, passing, options), passing: passing.length, verdicts };
}

function rejectionsOf(host: HostState, checks: readonly HostCheck[]): readonly Rejection[] {
  let rejections: Rejection[] | null = null;
  for (const check of checks) {
    const rejection = check(host);
    if (rejection === null) continue;
    if (rejections === null) rejections = [rejection];
    else rejections.push(rejection);
  }
  return rejections ?? passes;
}

/** The best `limit` of `passing` by repeated insertion into a short list, so that ten thousand candidates are not sorted to name five. */
function rank(snapshot: Snapshot, demand: ServerDemand, passing: readonly number[], { seed, limit = 5 }: DecideOptions): Candidate[] {
  const active = weighers.flatMap((weigher) => {
    const weigh = weigher.prepare(demand);
    return weigh === null ? [] : [{ name: weigher.name, weigh }];
  });
  const hostAt = (index: number): HostState => snapshot.hosts[index] as HostState; // indices come from the loop over these hosts
  const keys = passing.map((index) => {
    const host = hostAt(index);
    return { index, weights: active.map(({ weigh }) => weigh(host)), tie: tieBreak(snapshot.idHashes[index] ?? 0, seed) };
  });
  type Key = (typeof keys)[number];
  const compare = (a: Key, b: Key): number => {
    for (let weigher = 0; weigher < a.weights.length; weigher++) {
      const difference = (a.weights[weigher] ?? 0) - (b.weights[weigher] ?? 0);
      if (difference !== 0) return difference;
    }
    if (a.tie !== b.tie) return a.tie - b.tie;
    return hostAt(a.index).id < hostAt(b.index).id ? -1 : 1; // equal hashes of different ids
  };
  let best: Key[];
  if (keys.length <= limit || limit > 64) best = keys.sort(compare).slice(0, limit);
  else {
    best = [];
    for (const key of keys) {
      const last = best[limit - 1];
      if (last !== undefined && compare(key, last) >= 0) continue;
      let at = Math.min(best.length, limit - 1);
      for (let previous = best[at - 1]; at > 0 && previous !== undefined && compare(key, previous) < 0; previous = best[at - 1]) best[at--] = previous;
      best[at] = key;
    }
  }
  return best.map((key, position) => {
    const host = hostAt(key.index);
    return {
      host,
      rank: position + 1,
      weights: active.map(({ name }, weigher) => ({ weigher: name, weight: key.weights[weigher] ?? 0 })),
      loadBefore: loadOf(host),
      loadAfter: loadOf(host, demand.flavor),
    };
  });
}
