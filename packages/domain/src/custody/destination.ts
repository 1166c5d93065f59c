/**
 * The life of a grant on the host that it names, up to the take or the forfeit: rules 0, 1, 2, 4 and 6. A plain start is the same life without a release.
 */
import { asEpoch, type BootId, type Epoch } from '../ids.ts';
import { type Grant, sameGrant } from './grant.ts';
import type { GrantedCopy, HostCustody } from './host-custody.ts';
import type { HostEffect } from './host-effect.ts';
import type { Release } from './host-event.ts';
import { withLostTake } from './lost-take.ts';
import type { QemuProcess, QemuView } from './qemu-view.ts';
import type { RefusalCode } from './refusal.ts';
import type { Rules } from './rules.ts';
import { withoutGrant } from './suspend.ts';
import { answer, type HostTransition, later, refuse, stay, tell } from './transition.ts';

/** Makes the grant durable and says so; the same grant again gets the same answer. */
export function grantReceived(state: HostCustody, grant: Grant, rules: Rules): HostTransition {
  const { copy } = state;
  if (grant.destination !== state.hostId || grant.serverId !== state.serverId) return refuse(state, 'custody-wrong-host', grant.epoch);
  if (copy.kind === 'held' && sameGrant(copy.grant, grant)) return answer(state, { kind: 'took', epoch: grant.epoch, alive: copy.alive });
  // Also the very grant that the journal has: nothing may be started for it any more.
  if (rules.takeBootProof && grant.bootId !== state.bootId) return refuse(state, 'custody-boot-changed', grant.epoch);
  if (copy.kind === 'granted' && sameGrant(copy.grant, grant)) return answer(state, { kind: 'granted', epoch: grant.epoch });
  if (rules.staleEpochRefused && grant.epoch <= state.knownEpoch) return refuse(state, 'custody-epoch-stale', grant.epoch);
  const memory = copy.kind === 'suspended' && copy.grant.epoch === grant.memory ? copy.grant : undefined;
  if (grant.memory !== undefined && memory === undefined && rules.memorySpentOnce) return refuse(state, 'custody-no-memory', grant.epoch);
  if (memory === undefined && occupied(state)) return refuse(state, 'custody-copy-present', grant.epoch);
  const granted: GrantedCopy = { kind: 'granted', grant, process: null, released: false, ...(memory && { memory }) };
  return {
    state: { ...withLostTake(state), knownEpoch: later(state.knownEpoch, grant.epoch), copy: granted },
    effects: [
      { kind: 'journal', record: { kind: 'grant', grant }, durability: rules.grantFsynced ? 'fsync' : 'plain' },
      tell({ kind: 'granted', epoch: grant.epoch }),
    ],
  };
}

/**
 * Remembers which process was started for the grant, so that a later agent kills the right one. A process that nothing is bound to any more (the grant was forfeited while it was being started) is
 * killed at once: nobody else knows of it.
 */
export function processBound(state: HostCustody, epoch: Epoch, process: QemuProcess, rules: Rules): HostTransition {
  const { copy } = state;
  const bound = copy.kind === 'none' ? null : copy.process;
  const isBound = bound !== null && bound.pid === process.pid && bound.startTicks === process.startTicks;
  const refused = (code: RefusalCode): HostTransition => {
    const { effects } = refuse(state, code, epoch);
    return { state, effects: isBound ? effects : [{ kind: 'kill', process }, ...effects] };
  };
  if (copy.kind !== 'granted' || copy.grant.epoch !== epoch) return refused('custody-epoch-unknown');
  if (rules.takeBootProof && copy.grant.bootId !== state.bootId) return refused('custody-boot-changed');
  if (bound !== null) return isBound ? stay(state) : refused('custody-copy-present');
  return {
    state: { ...state, copy: { ...copy, process } },
    effects: [{ kind: 'journal', record: { kind: 'bound', epoch, process }, durability: 'plain' }],
  };
}

/** Plain start: takes at once, there being no source to wait for. */
export function launchOrdered(state: HostCustody, epoch: Epoch, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind === 'held' && copy.grant.epoch === epoch) return answer(state, { kind: 'took', epoch, alive: copy.alive });
  if (copy.kind !== 'granted' || copy.grant.epoch !== epoch || copy.grant.source !== null)
    return refuse(state, 'custody-epoch-unknown', epoch);
  if (rules.takeBootProof && copy.grant.bootId !== state.bootId) return refuse(state, 'custody-boot-changed', epoch);
  // What is loaded from a memory stands where an arrived guest does; rule 1 is the same.
  const loaded = (view?.runstate === 'paused' || view?.runstate === 'other') && view.migration === 'completed';
  const ready = copy.grant.memory === undefined ? view?.runstate === 'prelaunch' : loaded || !rules.contGuarded;
  if (view === null || copy.process === null || !ready) return refuse(state, 'custody-not-ready', epoch);
  // A guest that shut down, or stopped on an error, while it was being saved comes back in that very state: there is nothing to continue.
  return take(state, copy, copy.process, view.runstate !== 'other', rules);
}

/** Takes if QEMU is ready; if it is still loading, takes at the observation that shows it ready. */
export function releaseReceived(state: HostCustody, release: Release, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind === 'held' && copy.grant.epoch === release.epoch && copy.grant.migrationId === release.migrationId)
    return answer(state, { kind: 'took', epoch: release.epoch, alive: copy.alive });
  if (copy.kind !== 'granted') {
    const stale = release.epoch <= state.refusedThrough;
    return refuse(state, stale ? 'custody-epoch-stale' : 'custody-wrong-release', release.epoch);
  }
  const { grant } = copy;
  const matches =
    grant.epoch === release.epoch &&
    grant.migrationId === release.migrationId &&
    grant.source === release.source &&
    grant.destination === release.destination;
  if (rules.releaseMatched && !matches) return refuse(state, 'custody-wrong-release', release.epoch);
  if (rules.takeBootProof && grant.bootId !== state.bootId) return refuse(state, 'custody-boot-changed', release.epoch);
  return takeIfReady({ ...state, copy: { ...copy, released: true } }, view, rules);
}

/** Something was seen of an incoming QEMU. */
export function incomingObserved(state: HostCustody, copy: GrantedCopy, view: QemuView | null, rules: Rules): HostTransition {
  const { grant } = copy;
  if (view === null) return copy.process === null ? stay(state) : answer(state, { kind: 'ended', epoch: grant.epoch });
  if (copy.released) return takeIfReady(state, view, rules);
  if (grant.postCopy && grant.source !== null && view.runstate === 'paused' && view.migration === 'postcopy-active')
    return {
      state,
      effects: [{ kind: 'send', to: grant.source, message: { kind: 'postCopyReady', serverId: state.serverId, epoch: grant.epoch } }],
    };
  return stay(state);
}

/**
 * Answers *forfeits* only if nothing was taken, the boot is that of the grant, and the incoming QEMU is dead; the answer is durable before it is given.
 * Otherwise *took*, or *unknown*. An epoch never seen here is forfeited too: its grant may still be on the way.
 */
export function forfeitOrdered(state: HostCustody, epoch: Epoch, bootId: BootId, rules: Rules): HostTransition {
  const { copy } = state;
  const held = copy.kind === 'held' || copy.kind === 'released';
  if (held && copy.grant.epoch === epoch && (rules.takenNeverForfeits || copy.kind === 'released'))
    return answer(state, { kind: 'took', epoch, alive: copy.alive });
  const unknown = tell({ kind: 'unknown', epoch, bootId: state.bootId });
  if (copy.kind !== 'none' && copy.kind !== 'suspended' && copy.grant.epoch === epoch) {
    // The take of a memory is on the disk before `cont`: that it is not there is proof in any boot, and the memory is as it was.
    if (rules.forfeitBootProof && copy.grant.bootId !== state.bootId && !(copy.kind === 'granted' && copy.memory))
      return {
        state: dropped(withLostTake(state), epoch),
        effects: [{ kind: 'journal', record: { kind: 'destroyed', epoch: after(epoch) }, durability: 'fsync' }, unknown],
      };
    return {
      state: { ...dropped(state, epoch), forfeited: epoch },
      effects: [...(rules.forfeitKills ? [{ kind: 'kill', process: copy.process } as const] : []), ...forfeitEffects(epoch, rules)],
    };
  }
  if (state.forfeited === epoch) return answer(state, { kind: 'forfeited', epoch });
  // A suspended copy is accepted for one grant only, by a record that is still there: nothing later was taken, in no boot.
  const proven = bootId === state.bootId || copy.kind === 'suspended';
  if (epoch <= state.lastTaken || (rules.forfeitBootProof && !proven)) return { state, effects: [unknown] };
  // Durably refused already, by a later forfeit or a destruction.
  if (epoch <= state.refusedThrough) return answer(state, { kind: 'forfeited', epoch });
  return {
    state: { ...state, forfeited: epoch, knownEpoch: later(state.knownEpoch, epoch), refusedThrough: later(state.refusedThrough, epoch) },
    effects: forfeitEffects(epoch, rules),
  };
}

/**
 * Finishes a take that an earlier agent, or a turn that failed, began: `taking` is in the journal, so the source is never resumed and `cont` is due, once. That it is there does not say that it is
 * durable, which the end of a memory has to be: it is written again then (replayed twice it says the same).
 */
export function takeFinished(state: HostCustody, view: QemuView, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'held' || copy.settled) return stay(state);
  const { epoch, endState, memory } = copy.grant;
  const taking: HostEffect = {
    kind: 'journal',
    record: { kind: 'taking', epoch, bootId: state.bootId, process: copy.process },
    durability: 'fsync',
  };
  const waiting = view.runstate === 'paused' || view.runstate === 'prelaunch';
  return {
    state: { ...state, copy: { ...copy, settled: true } },
    effects: [
      ...(memory !== undefined && rules.memoryTakeFinishedFsynced ? [taking] : []),
      ...(waiting && endState === 'running' ? [{ kind: 'cont' } as const] : []),
      { kind: 'journal', record: { kind: 'taken', epoch }, durability: 'plain' },
      tell({ kind: 'took', epoch, alive: true }),
    ],
  };
}

function takeIfReady(state: HostCustody, view: QemuView | null, rules: Rules): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'granted') return stay(state);
  if (view === null || copy.process === null) return refuse(state, 'custody-not-ready', copy.grant.epoch);
  const loaded = view.migration === 'completed' || (copy.grant.postCopy && view.migration === 'postcopy-active');
  // A guest that shut down or stopped on an I/O error before it left arrives in that very state: it is taken as it is, there is nothing to continue.
  const arrived = view.runstate === 'paused' || view.runstate === 'other';
  if (rules.contGuarded && !(arrived && loaded)) return stay(state);
  return take(state, copy, copy.process, view.runstate !== 'other', rules);
}

function take(state: HostCustody, copy: GrantedCopy, process: QemuProcess, runnable: boolean, rules: Rules): HostTransition {
  const { epoch, endState } = copy.grant;
  const durability = copy.grant.memory !== undefined && rules.memoryTakeFsynced ? 'fsync' : 'plain';
  const taking: HostEffect = { kind: 'journal', record: { kind: 'taking', epoch, bootId: state.bootId, process }, durability };
  return {
    state: {
      ...state,
      lastTaken: later(state.lastTaken, epoch),
      copy: { kind: 'held', grant: copy.grant, process, alive: true, settled: true, outgoing: null },
    },
    effects: [
      ...(rules.takingJournaled ? [taking] : []),
      ...(runnable && endState === 'running' ? [{ kind: 'cont' } as const] : []),
      tell({ kind: 'took', epoch, alive: true }),
      { kind: 'journal', record: { kind: 'taken', epoch }, durability: 'plain' },
    ],
  };
}

const after = (epoch: Epoch): Epoch => asEpoch(epoch + 1);

const dropped = (state: HostCustody, epoch: Epoch): HostCustody => ({
  ...state,
  knownEpoch: later(state.knownEpoch, epoch),
  refusedThrough: later(state.refusedThrough, epoch),
  copy: withoutGrant(state.copy),
});

/** True while a copy is here that a start from disk would run beside, or whose memory it would make worthless. */
function occupied({ copy, bootId }: HostCustody): boolean {
  switch (copy.kind) {
    case 'none':
      return false;
    case 'granted':
      return copy.grant.bootId === bootId || copy.memory !== undefined;
    case 'held':
    case 'released':
      return copy.alive;
    case 'suspended':
      return true;
  }
}

const forfeitEffects = (epoch: Epoch, rules: Rules): readonly HostEffect[] => [
  { kind: 'journal', record: { kind: 'forfeited', epoch }, durability: rules.forfeitFsynced ? 'fsync' : 'plain' },
  tell({ kind: 'forfeited', epoch }),
];
