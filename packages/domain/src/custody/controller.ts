/**
 * The controller's decisions about one server's custody. The row is everything: an executor reads it, feeds one event, writes it back by compare-and-set on
 * (epoch, fence), and only then sends what `commandsFor` says; whoever takes over sends the same again. Rules 2, 5, 6, 7 and 8.
 */
import { asEpoch, type Epoch, type HostId } from '../ids.ts';
import type { ControllerEffect, ControllerEvent } from './controller-event.ts';
import type { CustodyRow, MoveOperation, Operation, StartOperation } from './custody-row.ts';
import type { Grant } from './grant.ts';
import type { Copy } from './host-custody.ts';
import type { HostMessage, HostReport } from './host-effect.ts';
import { recoveryBegun, recoveryHeard, recoveryWithout } from './recovery.ts';
import { REFUSALS, type Refusal, type RefusalCode } from './refusal.ts';
import { RULES, type Rules } from './rules.ts';

export type ControllerTransition = { readonly row: CustodyRow; readonly effects: readonly ControllerEffect[] };

/** The next row, and what to send once it is written. A refusal comes with the row unchanged. */
export function controllerStep(row: CustodyRow, event: ControllerEvent, rules: Rules = RULES): ControllerTransition {
  if (event.kind === 'takeOver')
    return event.fence > row.fence ? sending({ ...row, fence: event.fence }) : refused(row, 'custody-fence-low');
  if (event.kind === 'restored') return sending(recoveryBegun({ ...row, fence: event.fence }, event.hosts));
  if (event.fence !== row.fence && rules.rowFenced) return refused(row, 'custody-fence-low');
  switch (event.kind) {
    case 'beginMove': {
      const { holder } = row;
      const code = cannotBegin(row, event, rules);
      if (code !== null) return refused(row, code);
      if (holder.kind !== 'host' || holder.hostId === event.destination) return refused(row, 'custody-copy-absent');
      const grant: Grant = {
        serverId: row.serverId,
        migrationId: event.migrationId,
        source: holder.hostId,
        destination: event.destination,
        epoch: nextEpoch(row, rules),
        previousEpoch: holder.epoch,
        fence: row.fence,
        endState: event.endState,
        bootId: event.bootId,
        postCopy: event.postCopy,
      };
      return sending({
        ...burned(row, grant.epoch),
        operation: { kind: 'move', grant, step: 'granting', source: 'unknown', destinationFenced: false },
      });
    }
    case 'beginStart': {
      const code = cannotBegin(row, event, rules);
      if (code !== null) return refused(row, code);
      if (event.memory === undefined) {
        if (row.holder.kind !== 'nowhere' && rules.startNeedsNowhere) return refused(row, 'custody-not-stopped');
      } else if (!hasMemory(row, event.destination, event.memory, rules)) return refused(row, 'custody-no-memory');
      const grant: Grant = {
        serverId: row.serverId,
        migrationId: null,
        source: null,
        destination: event.destination,
        epoch: nextEpoch(row, rules),
        previousEpoch: row.epoch,
        fence: row.fence,
        endState: event.endState,
        bootId: event.bootId,
        postCopy: false,
        ...(event.memory !== undefined && { memory: event.memory }),
      };
      return sending({ ...burned(row, grant.epoch), operation: { kind: 'start', grant, step: 'granting' } });
    }
    case 'abort':
      return sending(aborted(row, rules));
    case 'destroy': {
      if (row.operation !== null) return row.operation.kind === 'destroy' ? sending(row) : refused(row, 'custody-busy');
      if (row.holder.kind === 'nowhere') return refused(row, 'custody-copy-absent');
      const epoch = asEpoch(row.epoch + 1);
      return sending({ ...burned(row, epoch), operation: { kind: 'destroy', hostId: row.holder.hostId, epoch } });
    }
    case 'fenced':
      return sending(hostFenced(row, event.hostId, rules));
    case 'absent':
      return sending(absent(row, event, rules));
    case 'heard':
      return sending(heard(row, event.from, event.message, rules));
  }
}

/** Everything that the row calls for now. Sending it again is always harmless. */
export function commandsFor(row: CustodyRow): readonly ControllerEffect[] {
  const { fence } = row;
  const remains = row.remains.map(
    ({ hostId, below }): ControllerEffect => ({ kind: 'command', to: hostId, command: { kind: 'destroy', fence, epoch: below } }),
  );
  return [...operationCommands(row, row.operation), ...remains];
}

function operationCommands({ fence, holder }: CustodyRow, operation: Operation | null): readonly ControllerEffect[] {
  if (operation === null) return [];
  if (operation.kind === 'recovery')
    return operation.waitingFor.map((to) => ({ kind: 'command', to, command: { kind: 'census', fence, floor: operation.floor } }));
  if (operation.kind === 'destroy')
    return [{ kind: 'command', to: operation.hostId, command: { kind: 'destroy', fence, epoch: operation.epoch } }];
  const { grant } = operation;
  const { epoch, source, destination, bootId } = grant;
  switch (operation.step) {
    case 'granting':
      return [{ kind: 'command', to: destination, command: { kind: 'grant', fence, grant } }];
    case 'launching':
      return [{ kind: 'command', to: destination, command: { kind: 'launch', fence, epoch } }];
    case 'arming':
      return source === null ? [] : [{ kind: 'command', to: source, command: { kind: 'arm', fence, grant } }];
    case 'copying':
      return source === null ? [] : [{ kind: 'command', to: source, command: { kind: 'migrate', fence, epoch } }];
    case 'releasing':
      if (source === null || grant.migrationId === null) return [];
      return [{ kind: 'relay', to: destination, release: { migrationId: grant.migrationId, source, destination, epoch } }];
    case 'disarming':
      return source === null ? [] : [{ kind: 'command', to: source, command: { kind: 'disarm', fence, epoch } }];
    case 'forfeiting':
      return [{ kind: 'command', to: destination, command: { kind: 'forfeit', fence, epoch, bootId } }];
    case 'resuming':
      if (source === null || holder.kind !== 'host') return [];
      return [{ kind: 'command', to: source, command: { kind: 'resume', fence, epoch: holder.epoch, forfeited: epoch } }];
  }
}

/** Second half of an abort once the source has answered, or cannot any more. */
function sourceKnown(row: CustodyRow, move: MoveOperation, source: 'runs' | 'completed' | 'lost'): CustodyRow {
  const next: MoveOperation = { ...move, step: 'forfeiting', source };
  return move.destinationFenced ? destinationGone(row, next) : { ...row, operation: next };
}

/** First half of an abort: the source, always first, so that no release can follow what the destination answers. */
function aborted(row: CustodyRow, rules: Rules): CustodyRow {
  const { operation } = row;
  if (operation?.kind === 'start')
    return operation.step === 'forfeiting' ? row : { ...row, operation: { ...operation, step: 'forfeiting' } };
  if (operation?.kind !== 'move') return row;
  switch (operation.step) {
    case 'granting':
    case 'arming':
    case 'copying':
      return rules.disarmBeforeForfeit ? { ...row, operation: { ...operation, step: 'disarming' } } : sourceKnown(row, operation, 'runs');
    case 'releasing':
      return sourceKnown(row, operation, 'completed');
    case 'disarming':
    case 'forfeiting':
    case 'resuming':
      return row;
  }
}

function heard(row: CustodyRow, from: HostId, message: HostMessage, rules: Rules): CustodyRow {
  if (message.kind === 'refused') return refusalHeard(row, from, message.refusal);
  if (message.kind === 'report') return reported(row, from, message, rules);
  if (message.kind === 'destroyed') return destroyed(row, from, message.epoch);
  if (message.kind === 'ended' && row.holder.kind === 'host' && row.holder.hostId === from && row.holder.epoch === message.epoch)
    return holderLost(row);
  if (message.kind === 'suspended') return suspended(row, from, message.epoch);
  const { operation } = row;
  if (operation === null || operation.kind === 'recovery' || operation.kind === 'destroy') return row;
  const { grant } = operation;
  const epoch = message.kind === 'released' ? message.release.epoch : message.kind === 'resumed' ? message.forfeited : message.epoch;
  if (epoch !== grant.epoch) return row;
  if (from === grant.destination) return destinationHeard(row, operation, message, rules);
  if (from === grant.source && operation.kind === 'move') return sourceHeard(row, operation, message);
  return row;
}

function refusalHeard(row: CustodyRow, from: HostId, { code, epoch, knownEpoch }: Refusal): CustodyRow {
  if (knownEpoch > row.epoch) return { ...row, behind: true };
  // A host has at most one copy, and this one's is not below: nothing remains there.
  const clean = code === 'custody-epoch-not-newer' && epoch !== null;
  return clean ? { ...row, remains: row.remains.filter(({ hostId, below }) => hostId !== from || below > epoch) } : row;
}

function sourceHeard(row: CustodyRow, move: MoveOperation, message: HostMessage): CustodyRow {
  const early = move.step === 'granting' || move.step === 'arming' || move.step === 'copying';
  switch (message.kind) {
    case 'armed':
      return move.step === 'arming' ? { ...row, operation: { ...move, step: 'copying' } } : row;
    case 'released':
      if (move.step === 'disarming') return sourceKnown(row, move, 'completed');
      return early ? { ...row, operation: { ...move, step: 'releasing', source: 'completed' } } : row;
    case 'disarmed':
      return early || move.step === 'disarming' ? sourceKnown(row, move, message.source) : row;
    case 'resumed':
      return move.step === 'resuming' ? { ...row, operation: null } : row;
    default:
      return row;
  }
}

function destinationHeard(row: CustodyRow, operation: MoveOperation | StartOperation, message: HostMessage, rules: Rules): CustodyRow {
  const { grant } = operation;
  switch (message.kind) {
    case 'granted':
      if (operation.step !== 'granting') return row;
      return { ...row, operation: operation.kind === 'move' ? { ...operation, step: 'arming' } : { ...operation, step: 'launching' } };
    case 'took': {
      const holder = { kind: 'host', hostId: grant.destination, epoch: grant.epoch, bootId: grant.bootId } as const;
      const next = grant.source === null ? row : withRemains(row, grant.source, grant.epoch);
      return { ...next, operation: null, holder: message.alive ? holder : { kind: 'nowhere' } };
    }
    case 'forfeited':
      if (operation.step !== 'forfeiting') return row;
      return operation.kind === 'start' ? startUndone(row) : forfeited(row, operation);
    case 'unknown':
      // Only a reboot makes unknown final: its QEMU is dead, whether it took or not.
      if (operation.step !== 'forfeiting' || message.bootId === grant.bootId) return row;
      if (operation.kind === 'start') return { ...row, operation: null, holder: { kind: 'nowhere' } };
      return rules.resumeOnlyAfterForfeit ? destinationGone(row, operation) : forfeited(row, operation);
    case 'ended':
      return aborted(row, rules);
    default:
      return row;
  }
}

function forfeited(row: CustodyRow, move: MoveOperation): CustodyRow {
  switch (move.source) {
    case 'runs':
      return { ...row, operation: null };
    case 'completed':
      return { ...row, operation: { ...move, step: 'resuming' } };
    case 'lost':
    case 'unknown':
      return stranded(row, move);
  }
}

/** The destination's QEMU is dead or cut off for certain, and nobody knows whether it took: a stopped source is never resumed. */
const destinationGone = (row: CustodyRow, move: MoveOperation): CustodyRow =>
  move.source === 'runs' ? { ...row, operation: null } : stranded(row, move);

/** A forfeited start has changed nothing: what was suspended still is. */
const startUndone = (row: CustodyRow): CustodyRow => ({
  ...row,
  operation: null,
  holder: row.holder.kind === 'suspended' ? row.holder : { kind: 'nowhere' },
});

/** Whatever operation is under way: its orders find the copy suspended, and change nothing. A source that was to run on has, before it was. An epoch that was suspended never runs again. */
function suspended(row: CustodyRow, from: HostId, epoch: Epoch): CustodyRow {
  const { holder, operation } = row;
  if (holder.kind !== 'host' || holder.hostId !== from || holder.epoch !== epoch) return row;
  const ranOn = operation?.kind === 'move' && operation.step === 'resuming';
  return { ...row, holder: { kind: 'suspended', hostId: from, epoch }, operation: ranOn ? null : operation };
}

/** No copy is left that may run: the guest restarts from disk, under a new grant. */
function stranded(row: CustodyRow, move: MoveOperation): CustodyRow {
  const { source, epoch } = move.grant;
  const next = source === null ? row : withRemains(row, source, epoch);
  return { ...next, operation: null, holder: { kind: 'nowhere' } };
}

/** The holder's QEMU has ended. During a move it may have released before. */
function holderLost(row: CustodyRow): CustodyRow {
  const { operation } = row;
  if (operation?.kind !== 'move') return operation === null ? { ...row, holder: { kind: 'nowhere' } } : row;
  switch (operation.step) {
    case 'granting':
    case 'arming':
    case 'copying':
    case 'disarming':
      return sourceKnown(row, operation, 'lost');
    case 'forfeiting':
      return { ...row, operation: { ...operation, source: 'lost' } };
    case 'releasing':
      return row;
    case 'resuming':
      return stranded(row, operation);
  }
}

/** Rule 7: fenced means that nothing there can run or reach anything. Its copies are destroyed, under a fresh epoch, before it counts as returned. */
function hostFenced(row: CustodyRow, host: HostId, rules: Rules): CustodyRow {
  const { operation, holder } = row;
  if (operation?.kind === 'recovery') return recoveryWithout(cutOffHost(row, host), host, rules);
  if (operation !== null && operation.kind !== 'destroy' && operation.grant.destination === host) {
    const next = cutOffHost(row, host);
    if (operation.kind === 'start') return { ...next, operation: null, holder: { kind: 'nowhere' } };
    const fenced: MoveOperation = { ...operation, destinationFenced: true };
    switch (operation.step) {
      case 'granting':
      case 'arming':
      case 'copying':
      case 'disarming':
        return aborted({ ...next, operation: fenced }, rules);
      case 'releasing':
        return destinationGone(next, { ...fenced, source: 'completed' });
      case 'forfeiting':
        return destinationGone(next, fenced);
      case 'resuming':
        return next;
    }
  }
  // A memory on a disk neither runs nor is lost by a fencing, and nothing is waited for: it is there again with its host. Not when its resume was under way (above), granted
  // or not: that may have run, and what is there is destroyed with everything else.
  if (holder.kind === 'suspended' && holder.hostId === host && operation === null) return row;
  if (holder.kind !== 'nowhere' && holder.hostId === host) {
    if (operation?.kind === 'destroy') return { ...cutOffHost(row, host), operation: null, holder: { kind: 'nowhere' } };
    return holderLost(cutOffHost(row, host));
  }
  return cutOffHost(row, host);
}

function destroyed(row: CustodyRow, from: HostId, epoch: Epoch): CustodyRow {
  const next = { ...row, remains: row.remains.filter(({ hostId, below }) => hostId !== from || below > epoch) };
  const { operation } = next;
  if (operation?.kind === 'destroy' && operation.hostId === from && operation.epoch <= epoch)
    return { ...next, operation: null, holder: { kind: 'nowhere' } };
  return next;
}

/**
 * A host tells everything that it knows. The report may be old: it says something about an epoch only if the host knew that epoch when it was written.
 */
function reported(row: CustodyRow, from: HostId, report: HostReport, rules: Rules): CustodyRow {
  if (row.operation?.kind === 'recovery') return recoveryHeard(row, from, report, rules);
  if (report.knownEpoch > row.epoch) return { ...row, behind: true };
  const { operation } = row;
  const { copy } = report;
  if (copy.kind === 'suspended' && suspended(row, from, copy.grant.epoch) !== row) return suspended(row, from, copy.grant.epoch);
  const { holder } = row;
  if (holder.kind === 'host' && holder.hostId === from) {
    if (report.knownEpoch < holder.epoch) return row;
    const rebooted = report.bootId !== holder.bootId;
    const holds =
      copy.kind !== 'none' && copy.grant.epoch === holder.epoch && (copy.kind === 'granted' || copy.kind === 'suspended' || copy.alive);
    if (rebooted || !holds) return holderLost(row);
  }
  // It knew that epoch, and nothing is left there: the memory was destroyed under a newer one, or what told that it is the copy did not outlive the power.
  const gone = copy.kind === 'none' || copyIsGone(copy, report.bootId);
  if (holder.kind === 'suspended' && holder.hostId === from && gone && report.knownEpoch >= holder.epoch) return holderLost(row);
  if (copy.kind === 'none' || copyIsGone(copy, report.bootId) || !rules.supersededDestroyed) return row;
  const { epoch } = copy.grant;
  if (holder.kind !== 'nowhere' && holder.hostId === from && epoch >= holder.epoch) return row;
  const granted = operation?.kind === 'move' || operation?.kind === 'start' ? operation.grant : null;
  if (granted?.destination === from && epoch >= granted.epoch) return row;
  // Not above what this host holds, or is about to hold, by the row.
  if (holder.kind !== 'nowhere' && holder.hostId === from) return withRemains(row, from, holder.epoch);
  if (granted?.destination === from) return withRemains(row, from, granted.epoch);
  return epoch < row.epoch ? withRemains(row, from, row.epoch) : cutOffHost(row, from);
}

/** Nothing of the reported copy is left that could run, or be resumed. */
function copyIsGone(copy: Exclude<Copy, { readonly kind: 'none' }>, bootId: HostReport['bootId']): boolean {
  switch (copy.kind) {
    case 'granted':
      return copy.grant.bootId !== bootId && copy.memory === undefined;
    case 'held':
    case 'released':
      return !copy.alive;
    case 'suspended':
      return false;
  }
}

/** The memory that a resume names is the suspended copy of the row, where it is to be resumed. */
function hasMemory({ holder }: CustodyRow, destination: HostId, memory: Epoch, rules: Rules): boolean {
  if (holder.kind === 'suspended') return holder.hostId === destination && holder.epoch === memory;
  return holder.kind === 'nowhere' && !rules.memorySpentOnce;
}

/** No process of the holder's can be left in another boot of its host, whatever that mentions. */
function absent(
  row: CustodyRow,
  { from, listed, bootId }: Extract<ControllerEvent, { readonly kind: 'absent' }>,
  rules: Rules,
): CustodyRow {
  const { holder, operation } = row;
  if (operation !== null || holder.kind !== 'host' || holder.hostId !== from) return row;
  return (rules.absenceAsked ? bootId : listed) === holder.bootId ? row : holderLost(row);
}

function cannotBegin(
  row: CustodyRow,
  { destination, fenced }: { readonly destination: HostId; readonly fenced: boolean },
  rules: Rules,
): RefusalCode | null {
  if (row.behind || row.operation?.kind === 'recovery') return 'custody-recovering';
  if (row.operation !== null) return 'custody-busy';
  if (fenced && rules.fencedNotGranted) return 'custody-host-fenced';
  return row.remains.some(({ hostId }) => hostId === destination) ? 'custody-copy-present' : null;
}

/** Everything on the host is below a fresh epoch that is granted to nobody. */
function cutOffHost(row: CustodyRow, host: HostId): CustodyRow {
  const epoch = asEpoch(row.epoch + 1);
  return withRemains(burned(row, epoch), host, epoch);
}

const withRemains = (row: CustodyRow, hostId: HostId, below: Epoch): CustodyRow => {
  const others = row.remains.filter((one) => one.hostId !== hostId);
  const before = row.remains.find((one) => one.hostId === hostId);
  return { ...row, remains: [...others, before !== undefined && before.below > below ? before : { hostId, below }] };
};

const nextEpoch = (row: CustodyRow, rules: Rules): Epoch =>
  rules.epochBurned || row.holder.kind !== 'host' ? asEpoch(row.epoch + 1) : asEpoch(row.holder.epoch + 1);

const burned = (row: CustodyRow, epoch: Epoch): CustodyRow => ({ ...row, epoch: epoch > row.epoch ? epoch : row.epoch });

const sending = (row: CustodyRow): ControllerTransition => ({ row, effects: commandsFor(row) });

const refused = (row: CustodyRow, code: RefusalCode): ControllerTransition => ({
  row,
  effects: [{ kind: 'refuse', refusal: { code, message: REFUSALS[code], epoch: null, knownEpoch: row.epoch, knownFence: row.fence } }],
});
