/** The life of a migration at the host that holds the guest: armed, migrating, released or resumed: rules 1, 2, 3, 4 and 10. */
import type { Epoch } from '../ids.ts';
import { type Grant, sameGrant } from './grant.ts';
import type { HeldCopy, HostCustody, Outgoing } from './host-custody.ts';
import type { HostEffect } from './host-effect.ts';
import type { Release } from './host-event.ts';
import { migrationInProgress, type QemuView } from './qemu-view.ts';
import type { Rules } from './rules.ts';
import { answer, type HostTransition, later, refuse, stay, tell } from './transition.ts';

/** Accepts the grant that this host may release to. Always before `migrate`: no controller round trip lies inside the blackout. */
export function armReceived(state: HostCustody, grant: Grant, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  const { epoch } = grant;
  if (grant.source !== state.hostId || grant.serverId !== state.serverId) return refuse(state, 'custody-wrong-host', epoch);
  if (copy.kind === 'released') return refuse(state, 'custody-released', epoch);
  if (copy.kind !== 'held' || !copy.alive || view === null) return refuse(state, 'custody-copy-absent', epoch);
  if (copy.grant.epoch !== grant.previousEpoch) return refuse(state, 'custody-epoch-unknown', epoch);
  if (copy.suspending === true) return refuse(state, 'custody-suspending', epoch);
  if (copy.outgoing !== null) {
    const known = sameGrant(copy.outgoing.grant, grant) && copy.outgoing.phase !== 'cancelling';
    return known ? answer(state, { kind: 'armed', epoch }) : refuse(state, 'custody-busy', epoch);
  }
  if (rules.staleArmRefused && epoch <= state.knownEpoch) return refuse(state, 'custody-epoch-stale', epoch);
  // A paused guest whose last migration completed and was forfeited stands in postmigrate: armed in it, it would look released at once.
  if (
    !copy.settled ||
    !(view.runstate === 'running' || view.runstate === 'paused' || view.runstate === 'other') ||
    migrationInProgress(view.migration)
  )
    return refuse(state, 'custody-not-ready', epoch);
  return {
    state: { ...state, knownEpoch: later(state.knownEpoch, epoch), copy: { ...copy, outgoing: { phase: 'armed', grant } } },
    effects: [{ kind: 'journal', record: { kind: 'armed', grant }, durability: 'plain' }, tell({ kind: 'armed', epoch })],
  };
}

/** One arm is good for one `migrate`. */
export function migrateOrdered(state: HostCustody, epoch: Epoch, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind === 'released') return refuse(state, 'custody-released', epoch);
  if (copy.kind !== 'held' || !copy.alive || view === null) return refuse(state, 'custody-copy-absent', epoch);
  const { outgoing } = copy;
  const done = tell({ kind: 'done', command: 'migrate', epoch });
  if (outgoing === null || outgoing.grant.epoch !== epoch || outgoing.phase === 'cancelling') {
    if (rules.armBeforeMigrate || outgoing !== null || migrationInProgress(view.migration))
      return refuse(state, 'custody-not-armed', epoch);
    return { state, effects: [{ kind: 'migrate', epoch }, done] };
  }
  if (outgoing.phase === 'migrating') return { state, effects: [done] };
  return { state: leaving(state, copy, { ...outgoing, phase: 'migrating' }), effects: [{ kind: 'migrate', epoch }, done] };
}

/** Lets QEMU leave pre-switchover, where neither side runs. */
export function continueOrdered(state: HostCustody, epoch: Epoch, view: QemuView | null): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'held' || copy.outgoing?.phase !== 'migrating' || copy.outgoing.grant.epoch !== epoch)
    return refuse(state, copy.kind === 'released' ? 'custody-released' : 'custody-not-armed', epoch);
  if (view?.migration !== 'pre-switchover') return refuse(state, 'custody-not-ready', epoch);
  return { state, effects: [{ kind: 'continueMigration' }, tell({ kind: 'done', command: 'continue', epoch })] };
}

/**
 * First half of an abort. The answer says how the attempt ended here; it comes at once when no migration runs, else when QEMU has ended it. A migration that
 * completes all the same is released as usual: whether the destination takes or forfeits is then decided there, and holding the release back would only
 * add the controller's round trip to the blackout.
 */
export function disarmOrdered(state: HostCustody, epoch: Epoch, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind === 'released' && copy.to.epoch === epoch)
    return answer(state, { kind: 'disarmed', epoch, source: copy.alive ? 'completed' : 'lost' });
  if (copy.kind === 'suspended') {
    // Never released, and here; not armed either, which is written down as ever.
    const noted: HostEffect = { kind: 'journal', record: { kind: 'disarmed', epoch, because: 'aborted' }, durability: 'plain' };
    const here = tell({ kind: 'disarmed', epoch, source: 'runs' });
    return epoch <= state.knownEpoch ? { state, effects: [here] } : { state: disarmed(state, epoch), effects: [noted, here] };
  }
  if (copy.kind !== 'held' || !copy.alive) return answer(state, { kind: 'disarmed', epoch, source: 'lost' });
  if (epoch <= copy.grant.epoch) return refuse(state, 'custody-epoch-stale', epoch);
  const { outgoing } = copy;
  const noted: HostEffect = { kind: 'journal', record: { kind: 'disarmed', epoch, because: 'aborted' }, durability: 'plain' };
  const runs = tell({ kind: 'disarmed', epoch, source: 'runs' });
  if (outgoing === null || outgoing.grant.epoch !== epoch)
    return epoch <= state.knownEpoch ? { state, effects: [runs] } : { state: disarmed(state, epoch), effects: [noted, runs] };
  if (outgoing.phase === 'armed') return { state: leaving(disarmed(state, epoch), copy, null), effects: [noted, runs] };
  const cancelling: Outgoing = { ...outgoing, phase: 'cancelling' };
  const next = leaving(disarmed(state, epoch), copy, cancelling);
  const settled = migrationObserved(next, { ...copy, outgoing: cancelling }, view, rules);
  const cancel: readonly HostEffect[] = rules.noContAfterCancel ? [{ kind: 'cancel' }] : [{ kind: 'cancel' }, { kind: 'cont' }];
  const first = outgoing.phase === 'migrating' ? [noted] : [];
  return { state: settled.state, effects: [...first, ...(settled.effects.length === 0 ? cancel : settled.effects)] };
}

/**
 * After the destination forfeited: the guest runs on here under its old epoch. The only `cont` that a source ever gets, and never after *unknown*, *took and
 * died* or a fencing of the destination. `cont` comes before the journal: an agent that dies between them finds QEMU running and no release due.
 */
export function resumeOrdered(state: HostCustody, epoch: Epoch, forfeited: Epoch, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  const resumed = tell({ kind: 'resumed', epoch, forfeited });
  // It has run on, and was suspended since.
  if (copy.kind === 'suspended' && copy.grant.epoch === epoch && forfeited <= state.disarmedThrough) return { state, effects: [resumed] };
  if ((copy.kind !== 'held' && copy.kind !== 'released') || copy.grant.epoch !== epoch)
    return refuse(state, 'custody-epoch-unknown', epoch);
  if (!copy.alive || view === null) return refuse(state, 'custody-copy-absent', epoch);
  if (copy.kind === 'held')
    return copy.outgoing === null && forfeited <= state.disarmedThrough
      ? { state, effects: [resumed] }
      : refuse(state, 'custody-migrating', epoch);
  if (rules.resumeMatched && copy.to.epoch !== forfeited) return refuse(state, 'custody-released', epoch);
  if (copy.mode === 'post-copy') return refuse(state, 'custody-released', epoch);
  return {
    state: {
      ...disarmed(state, copy.to.epoch),
      copy: { kind: 'held', grant: copy.grant, process: copy.process, alive: true, settled: true, outgoing: null },
    },
    effects: [
      ...(copy.to.endState === 'running' ? [{ kind: 'cont' } as const] : []),
      { kind: 'journal', record: { kind: 'disarmed', epoch: copy.to.epoch, because: 'forfeited' }, durability: 'plain' },
      resumed,
    ],
  };
}

/** Rule 3b: the destination can run with pages missing, and this QEMU can no longer resume by itself. */
export function postCopyReadyReceived(state: HostCustody, epoch: Epoch, view: QemuView | null): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'held' || copy.outgoing?.phase !== 'migrating' || copy.outgoing.grant.epoch !== epoch)
    return refuse(state, 'custody-not-armed', epoch);
  if (!copy.outgoing.grant.postCopy) return refuse(state, 'custody-post-copy-forbidden', epoch);
  if (view?.migration !== 'postcopy-active') return refuse(state, 'custody-not-ready', epoch);
  return {
    state: { ...state, copy: { ...releasedCopy(copy, copy.outgoing.grant), mode: 'post-copy', serving: true } },
    effects: [{ kind: 'journal', record: { kind: 'released', epoch }, durability: 'plain' }, ...releaseEffects(state, copy.outgoing.grant)],
  };
}

/** Our own limit on pre-switchover, where nobody runs and QEMU has no timeout. */
export function switchoverTimedOut(state: HostCustody, view: QemuView | null): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'held' || view?.migration !== 'pre-switchover') return stay(state);
  if (copy.outgoing === null) return { state, effects: [{ kind: 'cancel' }] };
  const { epoch } = copy.outgoing.grant;
  return {
    state: leaving(disarmed(state, epoch), copy, { ...copy.outgoing, phase: 'cancelling' }),
    effects: [{ kind: 'journal', record: { kind: 'disarmed', epoch, because: 'aborted' }, durability: 'plain' }, { kind: 'cancel' }],
  };
}

/** Something was seen of a migrating (or cancelling) source. Nothing is ever sent to QEMU here: after a failure it resumes by itself. */
export function migrationObserved(state: HostCustody, copy: HeldCopy, view: QemuView | null, rules: Rules): HostTransition {
  const { outgoing } = copy;
  if (view === null || outgoing === null || outgoing.phase === 'armed') return stay(state);
  if (view.migration === 'completed') {
    const stopped = view.runstate === 'postmigrate';
    if (stopped || !rules.releaseNeedsPostmigrate) return released(state, copy, outgoing);
    // Status turns completed a moment before the runstate turns postmigrate.
    if (view.runstate === 'finish-migrate') return stay(state);
    return ended(state, copy, outgoing);
  }
  if (migrationInProgress(view.migration)) return stay(state);
  return rules.selfResumeHeeded ? ended(state, copy, outgoing) : stay(state);
}

/**
 * A new agent finds a source that an earlier one armed; what the earlier one did after that is told by QEMU alone. Armed but not begun counts as ended:
 * a status left over from an earlier attempt cannot be told from one of this.
 */
export function outgoingAdopted(state: HostCustody, copy: HeldCopy, view: QemuView, rules: Rules): HostTransition {
  const { outgoing } = copy;
  if (outgoing === null) {
    const ours = migrationInProgress(view.migration) && !copy.grant.postCopy;
    return ours ? { state, effects: [{ kind: 'cancel' }] } : stay(state);
  }
  const phase = outgoing.phase === 'cancelling' ? 'cancelling' : 'migrating';
  const seen: HeldCopy = { ...copy, outgoing: { ...outgoing, phase } };
  const next = migrationObserved({ ...state, copy: seen }, seen, view, rules);
  if (phase === 'cancelling' && next.effects.length === 0) return { state: next.state, effects: [{ kind: 'cancel' }] };
  return next;
}

const released = (state: HostCustody, copy: HeldCopy, outgoing: Outgoing): HostTransition => ({
  state: { ...state, copy: releasedCopy(copy, outgoing.grant) },
  effects: [
    ...releaseEffects(state, outgoing.grant),
    ...(outgoing.phase === 'cancelling' ? [tell({ kind: 'disarmed', epoch: outgoing.grant.epoch, source: 'completed' })] : []),
  ],
});

/** The release of a copy that has released, again: the destination may not have heard it. */
export function releaseEffects(state: HostCustody, to: Grant): readonly HostEffect[] {
  if (to.migrationId === null) return [];
  const release: Release = { migrationId: to.migrationId, source: state.hostId, destination: to.destination, epoch: to.epoch };
  return [
    { kind: 'send', to: to.destination, message: { kind: 'release', release } },
    { kind: 'tell', message: { kind: 'released', release } },
  ];
}

const releasedCopy = (copy: HeldCopy, to: Grant) =>
  ({ kind: 'released', grant: copy.grant, process: copy.process, alive: copy.alive, to, mode: 'pre-copy', serving: false }) as const;

const ended = (state: HostCustody, copy: HeldCopy, outgoing: Outgoing): HostTransition => {
  const { epoch } = outgoing.grant;
  return {
    state: leaving(disarmed(state, epoch), copy, null),
    effects: [
      { kind: 'journal', record: { kind: 'disarmed', epoch, because: 'ended' }, durability: 'plain' },
      tell({ kind: 'disarmed', epoch, source: 'runs' }),
    ],
  };
};

const leaving = (state: HostCustody, copy: HeldCopy, outgoing: Outgoing | null): HostCustody => ({ ...state, copy: { ...copy, outgoing } });

const disarmed = (state: HostCustody, epoch: Epoch): HostCustody => ({
  ...state,
  knownEpoch: later(state.knownEpoch, epoch),
  disarmedThrough: later(state.disarmedThrough, epoch),
});
