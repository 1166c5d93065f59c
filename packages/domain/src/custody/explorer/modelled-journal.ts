import { asEpoch } from '../../ids.ts';
import type { HostCustody } from '../host-custody.ts';
import type { JournalRecord } from '../journal-record.ts';
import { replayed } from '../recover.ts';
import { goneOn } from '../suspend.ts';

/**
 * A journal as far as anything can tell one from another: what all its records say, and what a power loss may leave of them instead (any last part of the records since the last fsync
 * is gone). Records are only ever read as a fold, so the folds are kept, not the records.
 */
export type Journal = { readonly now: HostCustody; readonly lossy: readonly HostCustody[] };

export const written = (now: HostCustody): Journal => ({ now, lossy: [] });

export function appended({ now, lossy }: Journal, record: JournalRecord, durability: 'plain' | 'fsync'): Journal {
  const next = replayed(now, record);
  if (durability === 'fsync') return written(next);
  // A guest may be let go on, and be suspended again, any number of times: what may be left is a set.
  const known = JSON.stringify(now);
  return { now: next, lossy: lossy.some((one) => JSON.stringify(one) === known) ? lossy : [...lossy, now] };
}

/** Everything that may be found after a power loss, in the boot that follows. */
export const leftByPowerLoss = ({ now, lossy }: Journal, bootId: HostCustody['bootId']): readonly HostCustody[] =>
  [...lossy, now].map((state) => {
    const { copy } = state;
    return { ...state, bootId, copy: copy.kind === 'held' || copy.kind === 'released' ? { ...copy, alive: false } : copy };
  });

/** The lowest that is known for certain to be remembered, whatever happens. */
export const surelyKnown = ({ now, lossy }: Journal): number => Math.min(now.knownEpoch, ...lossy.map(({ knownEpoch }) => knownEpoch));

/** The same journal as every other one that nothing can tell from it: what may be left is compared as it is after the loss, and its order means nothing. */
export function canonicalJournal({ now, lossy }: Journal, restores: boolean): Journal {
  const forget = (state: HostCustody): HostCustody => forgetful(state, restores);
  if (lossy.length === 0) return { now: forget(now), lossy };
  const found = new Map(lossy.map((state) => withoutProcess(forget(state))).map((state) => [JSON.stringify(state), state]));
  found.delete(JSON.stringify(withoutProcess(forget(now))));
  return { now: forget(now), lossy: [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, state]) => state) };
}

/**
 * Without what is never looked at again. Of a copy whose QEMU is dead `host.ts` looks at the grant, at what it was released to, and that it is dead; of a grant of an earlier boot at the
 * grant alone. `restores`: the database may travel back in this world.
 */
export function forgetful(before: HostCustody, restores: boolean): HostCustody {
  // `resume` asks for it, for the epoch of the operation under way, and there is one at a time, each above all before. Not when the database travels back: the floor of
  // a census is far above the move that is undone after it.
  const older = !restores && before.disarmedThrough < before.knownEpoch && before.disarmedThrough > 0;
  const { mayHaveTaken: _, ...rest } = before;
  const kept = restores ? before : rest;
  const state = older ? { ...kept, disarmedThrough: asEpoch(0) } : kept;
  return isGone(state) ? withoutProcess(state) : state;
}

function isGone({ copy, bootId }: HostCustody): boolean {
  switch (copy.kind) {
    case 'none':
      return false;
    case 'granted':
    case 'suspended':
      return copy.grant.bootId !== bootId && copy.process !== null;
    case 'held':
    case 'released':
      return !copy.alive;
  }
}

function withoutProcess(state: HostCustody): HostCustody {
  const { copy } = state;
  switch (copy.kind) {
    case 'none':
      return state;
    case 'granted':
      return { ...state, copy: { ...copy, process: null, released: false } };
    case 'held':
      return { ...state, copy: { ...goneOn(copy), alive: false, settled: true, outgoing: null } };
    case 'released':
      return { ...state, copy: { ...copy, alive: false, serving: false } };
    case 'suspended':
      return { ...state, copy: { ...copy, process: null } };
  }
}
