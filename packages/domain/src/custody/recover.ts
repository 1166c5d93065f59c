import { asEpoch, asFence, type BootId, type Epoch, type HostId, type ServerId } from '../ids.ts';
import type { HostCustody } from './host-custody.ts';
import type { JournalRecord } from './journal-record.ts';
import { withLostTake } from './lost-take.ts';
import { goneOn, withoutGrant } from './suspend.ts';
import { before, later } from './transition.ts';

/** A host that has never heard of the server. */
export const unknownServer = (serverId: ServerId, hostId: HostId, bootId: BootId): HostCustody => ({
  serverId,
  hostId,
  bootId,
  knownEpoch: asEpoch(0),
  refusedThrough: asEpoch(0),
  forfeited: null,
  lastTaken: asEpoch(0),
  disarmedThrough: asEpoch(0),
  fence: asFence(0),
  copy: { kind: 'none' },
});

/**
 * What the journal tells, before anybody has looked at QEMU: the next event must be `adopt`. A copy of an earlier boot is never alive.
 * A pre-copy release leaves no record: such a copy comes back as armed, and `adopt` sees that QEMU has completed.
 */
export const recover = (records: readonly JournalRecord[], serverId: ServerId, hostId: HostId, bootId: BootId): HostCustody =>
  records.reduce(replayed, unknownServer(serverId, hostId, bootId));

/** One record more. A fold: what came before matters only through `state`, which is why a journal may be compacted. */
export function replayed(state: HostCustody, record: JournalRecord): HostCustody {
  const { copy } = state;
  switch (record.kind) {
    case 'grant': {
      const { grant } = record;
      const memory = copy.kind === 'suspended' && copy.grant.epoch === grant.memory ? { memory: copy.grant } : {};
      return { ...known(withLostTake(state), grant.epoch), copy: { kind: 'granted', grant, process: null, released: false, ...memory } };
    }
    case 'bound':
      if (copy.kind !== 'granted' || copy.grant.epoch !== record.epoch) return state;
      return { ...state, copy: { ...copy, process: record.process } };
    case 'taking': {
      if (copy.kind !== 'granted' || copy.grant.epoch !== record.epoch) return state;
      const alive = record.bootId === state.bootId;
      const held = { kind: 'held', grant: copy.grant, process: record.process, alive, settled: false, outgoing: null } as const;
      return { ...state, lastTaken: later(state.lastTaken, record.epoch), copy: held };
    }
    case 'taken':
      return copy.kind === 'held' && copy.grant.epoch === record.epoch ? { ...state, copy: { ...copy, settled: true } } : state;
    case 'armed': {
      const next = known(state, record.grant.epoch);
      return copy.kind === 'held' ? { ...next, copy: { ...copy, outgoing: { phase: 'armed', grant: record.grant } } } : next;
    }
    case 'disarmed': {
      const next = { ...known(state, record.epoch), disarmedThrough: later(state.disarmedThrough, record.epoch) };
      if (copy.kind !== 'held' || copy.outgoing === null || copy.outgoing.grant.epoch !== record.epoch) return next;
      // An aborted attempt may not have ended in QEMU: only a look at it can tell.
      const outgoing = record.because === 'aborted' ? ({ ...copy.outgoing, phase: 'cancelling' } as const) : null;
      return { ...next, copy: { ...copy, outgoing } };
    }
    case 'released': {
      if (copy.kind !== 'held' || copy.outgoing === null) return state;
      const { grant, process, alive, outgoing } = copy;
      return { ...state, copy: { kind: 'released', grant, process, alive, to: outgoing.grant, mode: 'post-copy', serving: true } };
    }
    case 'suspending':
      if (copy.kind !== 'held' || copy.grant.epoch !== record.epoch) return state;
      // Accepted only when no move was under way: one that was aborted before it began left no record of its end, and QEMU's `completed` will not be its.
      return { ...state, copy: { ...copy, outgoing: null, suspending: true } };
    case 'suspended':
      if (copy.kind !== 'held' || copy.grant.epoch !== record.epoch) return state;
      return { ...state, copy: { kind: 'suspended', grant: copy.grant, process: copy.process } };
    case 'notSuspended': {
      if (copy.kind !== 'held' || copy.grant.epoch !== record.epoch) return state;
      return { ...state, copy: goneOn(copy) };
    }
    case 'forfeited':
      return { ...gone(state, record.epoch, copy.kind !== 'none' && copy.grant.epoch === record.epoch), forfeited: record.epoch };
    case 'destroyed':
      return gone(state, before(record.epoch), copy.kind !== 'none' && copy.grant.epoch < record.epoch, 'none');
    case 'state':
    case 'stateWithMemory': {
      const { bootId, copy: then, ...rest } = record.state;
      const dead = (then.kind === 'held' || then.kind === 'released') && bootId !== state.bootId;
      return { ...state, ...rest, copy: dead ? { ...then, alive: false } : then };
    }
    case 'census':
      return known(state, record.floor);
    case 'fence':
      return { ...state, fence: record.fence > state.fence ? record.fence : state.fence };
  }
}

const known = (state: HostCustody, epoch: Epoch): HostCustody => ({ ...state, knownEpoch: later(state.knownEpoch, epoch) });

/** A forfeit of an epoch that was never here leaves a copy under another one alone; one of a grant that was to resume leaves the memory. */
function gone(state: HostCustody, epoch: Epoch, copyToo: boolean, left: 'none' | 'memory' = 'memory'): HostCustody {
  const next = { ...known(state, epoch), refusedThrough: later(state.refusedThrough, epoch) };
  if (left === 'none' && copyToo) return { ...withLostTake(next), copy: { kind: 'none' } };
  return copyToo ? { ...next, copy: withoutGrant(state.copy) } : next;
}

/** A journal's records of one server as one record: `recover` makes the same of it, in this boot and in any later one. */
export function compacted(custody: HostCustody): JournalRecord {
  const { serverId: _, hostId: __, ...state } = custody;
  const { copy } = custody;
  const memory = copy.kind === 'suspended' || (copy.kind === 'granted' && copy.memory !== undefined);
  return { kind: memory ? 'stateWithMemory' : 'state', state };
}
