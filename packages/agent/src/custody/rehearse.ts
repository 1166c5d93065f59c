import type { Grant } from '@godwit/domain/custody/grant';
import { hostStep } from '@godwit/domain/custody/host';
import type { HostCustody } from '@godwit/domain/custody/host-custody';
import type { HostEvent } from '@godwit/domain/custody/host-event';
import type { QemuView } from '@godwit/domain/custody/qemu-view';
import { recover } from '@godwit/domain/custody/recover';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { encodeEntry } from './journal-line.ts';

/** Enough for V8 to have compiled what it passes; some milliseconds in all. */
const turns = 100;

/**
 * Passes a move between two imaginary hosts through the rules, so that the first real switchover of an agent is not the one in which its code is compiled: that takes longer
 * than all the rest of it. Pure but for the time it takes. Throws when the two halves of a move do not fit together.
 */
export function rehearse(): void {
  for (let turn = 0; turn < turns; turn += 1) rehearsal();
}

function rehearsal(): void {
  const serverId = as<ServerId>('rehearsal');
  const [source, destination] = [as<HostId>('source'), as<HostId>('destination')];
  const bootId = as<BootId>('boot');
  const process = { pid: 1, startTicks: 1 };
  const fence = asFence(1);
  const start: Grant = {
    serverId,
    migrationId: null,
    source: null,
    destination: source,
    epoch: asEpoch(1),
    previousEpoch: asEpoch(0),
    fence,
    endState: 'running',
    bootId,
    postCopy: false,
  };
  const grant: Grant = {
    ...start,
    migrationId: as<MigrationId>('move'),
    source,
    destination,
    epoch: asEpoch(2),
    previousEpoch: asEpoch(1),
  };
  const { epoch } = grant;
  const view = (runstate: QemuView['runstate'], migration: QemuView['migration']): QemuView => ({ runstate, migration });
  const running = view('running', 'none');
  const left = played(recover([], serverId, source, bootId), [
    { kind: 'grant', fence, grant: start },
    { kind: 'bind', epoch: start.epoch, process },
    { kind: 'launch', fence, epoch: start.epoch, view: view('prelaunch', 'none') },
    { kind: 'arm', fence, grant, view: running },
    { kind: 'migrate', fence, epoch, view: running },
    { kind: 'observed', view: view('running', 'active') },
    { kind: 'observed', view: view('postmigrate', 'completed') },
  ]);
  if (left.copy.kind !== 'released') throw new Error(`a rehearsed source is ${left.copy.kind}, not released`);
  const release = { migrationId: as<MigrationId>('move'), source, destination, epoch };
  const arrived = view('paused', 'completed');
  const taken = played(recover([], serverId, destination, bootId), [
    { kind: 'grant', fence, grant },
    { kind: 'bind', epoch, process },
    { kind: 'observed', view: arrived },
    { kind: 'release', release, view: arrived },
  ]);
  if (taken.copy.kind !== 'held') throw new Error(`a rehearsed destination is ${taken.copy.kind}, and holds nothing`);
}

function played(state: HostCustody, events: readonly HostEvent[]): HostCustody {
  let now = state;
  for (const event of events) {
    const { state: next, effects } = hostStep(now, event);
    for (const effect of effects)
      if (effect.kind === 'journal')
        encodeEntry({ seq: 1, kind: 'record', serverId: state.serverId, synced: false, record: effect.record });
    now = next;
  }
  return now;
}
