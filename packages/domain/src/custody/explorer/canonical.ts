/**
 * Worlds that nothing can tell apart are one. Each case below is an argument from the rules; therefore worlds are only reduced when every rule is on, and a test compares what is
 * reached with and without it.
 */
import { asEpoch, asFence } from '../../ids.ts';
import type { HostReport } from '../host-effect.ts';
import { RULES, type Rules } from '../rules.ts';
import { goneOn } from '../suspend.ts';
import { canonicalJournal, forgetful, surelyKnown } from './modelled-journal.ts';
import type { Host } from './world.ts';

/** True when worlds may be reduced under these rules. */
export const reducible = (rules: Rules): boolean => rules === RULES;

/**
 * A host without what is never looked at again, and without promises that cannot be broken any more: epochs known only grow, so a grant that even the worst power loss remembers is
 * remembered for good; and a host that knows a fence refuses every lower one until it boots again, which forgets the promise too.
 */
export function canonicalHost(host: Host, restores: boolean): Host {
  const { machine, journal, promised } = host;
  const kept = surelyKnown(journal) >= promised.granted;
  const fenced = (machine ?? journal.now).fence >= promised.fence;
  return {
    ...host,
    machine: machine === null ? null : forgetful(machine, restores),
    journal: canonicalJournal(journal, restores),
    promised: { ...promised, granted: kept ? 0 : promised.granted, fence: fenced ? 0 : promised.fence },
  };
}

/** Once no agent can die any more, a journal is read for the last time by an agent that is dead already, and nothing can be forgotten. */
export function undyingHost(host: Host): Host {
  const { machine, journal, promised } = host;
  return { ...host, journal: { now: machine ?? journal.now, lossy: [] }, promised: { ...promised, granted: 0, fence: 0 } };
}

/**
 * A report as far as the row acts on it outside a recovery: which boot, which epochs are known, and which copy is alive. What else it tells is for recoveries (none comes in a world
 * without a restored database) and people.
 */
export function canonicalReport(report: HostReport): HostReport {
  const { copy } = report;
  const plain = { ...report, knownFence: asFence(0), refusedThrough: asEpoch(0), forfeited: null, ranThrough: asEpoch(0) };
  switch (copy.kind) {
    case 'none':
      return plain;
    case 'granted':
      return { ...plain, copy: { ...copy, process: null, released: false } };
    case 'held':
      return { ...plain, copy: copy.alive ? { ...goneOn(copy), settled: true, outgoing: null } : { kind: 'none' } };
    case 'released':
      return { ...plain, copy: copy.alive ? { ...copy, serving: false } : { kind: 'none' } };
    case 'suspended':
      return { ...plain, copy: { ...copy, process: null } };
  }
}
