/** What may be done to a copy that this host holds outside a migration, and how every copy ends: rules 1, 6, 7, 8 and 10. */
import type { Epoch } from '../ids.ts';
import { takeFinished } from './destination.ts';
import type { HostCustody } from './host-custody.ts';
import type { HostEffect, HostReport } from './host-effect.ts';
import { withLostTake } from './lost-take.ts';
import { migrationInProgress, type QemuView } from './qemu-view.ts';
import type { Rules } from './rules.ts';
import { migrationObserved, outgoingAdopted, releaseEffects } from './source.ts';
import { savingEnded, suspensionGivenUp } from './suspend.ts';
import { before, type HostTransition, later, refuse, stay, tell } from './transition.ts';
import { vcpusRefused } from './vcpus-refused.ts';

/** Pause, unpause, reset and power button: only by the epoch that holds, and never while the guest is leaving (QEMU would resume, or stop, behind our back). */
export function vcpusOrdered(
  state: HostCustody,
  command: 'pause' | 'unpause' | 'reset' | 'powerDown',
  epoch: Epoch,
  view: QemuView | null,
  rules: Rules,
): HostTransition {
  const effect = { kind: command === 'pause' ? 'stop' : command === 'unpause' ? 'cont' : command } as const;
  const done = { state, effects: [effect, tell({ kind: 'done', command, epoch })] };
  if (!rules.unpauseGuarded && view !== null && state.copy.kind !== 'none') return done;
  const code = vcpusRefused(state, epoch, view);
  return code === null ? done : refuse(state, code, epoch);
}

/** The user's stop, of exactly the copy that holds. Nothing is written down: a dead process stays dead, and its epoch is never granted again. */
export function powerOffOrdered(state: HostCustody, epoch: Epoch, view: QemuView | null): HostTransition {
  const { copy } = state;
  const ended = tell({ kind: 'ended', epoch });
  if (copy.kind === 'held' && copy.grant.epoch === epoch && !copy.alive) return { state, effects: [ended] };
  const code = vcpusRefused(state, epoch, view);
  if (copy.kind !== 'held' || (code !== null && code !== 'custody-copy-absent'))
    return refuse(state, code ?? 'custody-epoch-unknown', epoch);
  return { state: { ...state, copy: { ...copy, alive: false } }, effects: [{ kind: 'quit', process: copy.process }, ended] };
}

/** Kills every copy below `epoch`; nothing below it is accepted afterwards. The copy's own epoch, or a lower one, is refused: it may be a late order. */
export function destroyOrdered(state: HostCustody, epoch: Epoch, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'none' && copy.grant.epoch >= epoch && rules.destroyFenced) return refuse(state, 'custody-epoch-not-newer', epoch);
  if (copy.kind === 'released' && copy.serving && copy.alive) return refuse(state, 'custody-migrating', epoch);
  const destroyed = tell({ kind: 'destroyed', epoch });
  if (copy.kind === 'none' && before(epoch) <= state.refusedThrough) return { state, effects: [destroyed] };
  return {
    state: {
      ...withLostTake(state),
      knownEpoch: later(state.knownEpoch, before(epoch)),
      refusedThrough: later(state.refusedThrough, before(epoch)),
      copy: { kind: 'none' },
    },
    effects: [
      ...(copy.kind !== 'none' && rules.destroyKills ? [{ kind: 'kill', process: copy.process } as const] : []),
      { kind: 'journal', record: { kind: 'destroyed', epoch }, durability: 'fsync' },
      destroyed,
    ],
  };
}

/** Rule 8: once this is answered, no grant that was under way when the database travelled back can be accepted here. */
export function censusOrdered(state: HostCustody, floor: Epoch): HostTransition {
  const next = { ...state, knownEpoch: later(state.knownEpoch, floor) };
  const report = tell(hostReport(next, floor));
  if (floor <= state.knownEpoch) return { state, effects: [report] };
  return { state: next, effects: [{ kind: 'journal', record: { kind: 'census', floor }, durability: 'fsync' }, report] };
}

/** QEMU died, moved on or was merely looked at. */
export function holderObserved(state: HostCustody, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'held' && copy.kind !== 'released') return stay(state);
  if (view === null) {
    if (!copy.alive) return stay(state);
    return { state: { ...state, copy: { ...copy, alive: false } }, effects: [tell({ kind: 'ended', epoch: copy.grant.epoch })] };
  }
  if (copy.kind === 'held')
    return copy.suspending === true ? savingEnded(state, copy, view, rules) : migrationObserved(state, copy, view, rules);
  const served = copy.serving && !migrationInProgress(view.migration);
  return served ? stay({ ...state, copy: { ...copy, serving: false } }) : stay(state);
}

/** First event of every agent: makes the state that the journal tells agree with the QEMU that is (or is not) there. Ends with a report. */
export function adopted(state: HostCustody, view: QemuView | null, rules: Rules): HostTransition {
  const next = adoptedCopy(state, view, rules);
  return { state: next.state, effects: [...next.effects, tell(hostReport(next.state, null))] };
}

function adoptedCopy(state: HostCustody, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  const orphan: readonly HostEffect[] = view === null ? [] : [{ kind: 'kill', process: null }];
  switch (copy.kind) {
    case 'none':
      return { state, effects: orphan };
    case 'granted':
      return { state, effects: copy.process === null ? orphan : [] };
    case 'held': {
      if (view === null) return holderObserved(state, null, rules);
      const taken = takeFinished(state, view, rules);
      if (taken.state.copy.kind !== 'held') return taken;
      // Whoever saved it is gone, and with it all that it knew of the file.
      if (taken.state.copy.suspending === true) return suspensionGivenUp(taken.state, taken.state.copy, view);
      const rest = outgoingAdopted(taken.state, taken.state.copy, view, rules);
      return { state: rest.state, effects: [...taken.effects, ...rest.effects] };
    }
    case 'released': {
      const seen = holderObserved(state, view, rules);
      return view === null ? seen : { state: seen.state, effects: [...seen.effects, ...releaseEffects(state, copy.to)] };
    }
    case 'suspended':
      return { state, effects: view === null || !rules.suspendedKills ? [] : [{ kind: 'kill', process: copy.process }] };
  }
}

/** A power loss takes a plain `taking`: a grant of an earlier boot may have been taken. */
function ranThrough(state: HostCustody): Epoch {
  const { copy, bootId, lastTaken, mayHaveTaken = lastTaken } = state;
  const told = later(lastTaken, mayHaveTaken);
  return copy.kind === 'granted' && copy.grant.bootId !== bootId ? (withLostTake(state).mayHaveTaken ?? told) : told;
}

export const hostReport = (state: HostCustody, floor: Epoch | null): HostReport => ({
  kind: 'report',
  bootId: state.bootId,
  knownEpoch: state.knownEpoch,
  knownFence: state.fence,
  refusedThrough: state.refusedThrough,
  forfeited: state.forfeited,
  ranThrough: ranThrough(state),
  copy: state.copy,
  floor,
});
