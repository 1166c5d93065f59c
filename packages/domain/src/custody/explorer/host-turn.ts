/** One turn of one host: an event, the transition, its effects carried out on the modelled QEMU, journal and network, wholly or up to a fault. Nothing else of the world matters to it. */

import { hostStep } from '../host.ts';
import type { HostEffect, HostMessage } from '../host-effect.ts';
import type { HostEvent } from '../host-event.ts';
import type { QemuView } from '../qemu-view.ts';
import type { Rules } from '../rules.ts';
import { appended, leftByPowerLoss } from './modelled-journal.ts';
import { cont, ended, leaving, type Qemu, saving, viewOf } from './qemu-model.ts';
import { bootOf, HOSTS, type Host, indexOf, type Message } from './world.ts';

export type HostOutcome = {
  readonly host: Host;
  /** Ids of the messages that were sent. */
  readonly sent: readonly number[];
  /** `migrate` was sent to QEMU: whether it may be depends on the destination too. */
  readonly migrates: { readonly epoch: number; readonly peer: number } | null;
  /** What cut the turn short; null: nothing. */
  readonly fault: string | null;
  readonly broken: string | null;
};

/** Every way in which this turn can go: to its end, or cut short by the death of the agent or of the host. */
export function hostTurn(
  start: Host,
  index: number,
  event: HostEvent,
  rules: Rules,
  idOf: (message: Message) => number,
): readonly HostOutcome[] {
  if (start.machine === null) return [];
  const { state, effects } = hostStep(start.machine, event, rules);
  const before = start.machine.copy;
  const pid = before.kind === 'none' ? 0 : (before.process?.pid ?? 0);
  const outcomes: HostOutcome[] = [];
  let current: HostOutcome = { host: start, sent: [], migrates: null, fault: null, broken: unfencedObedience(start, event, effects) };
  for (let done = 0; done < effects.length && current.broken === null; done += 1) {
    if (done > 0 && effects.slice(done).some(({ kind }) => kind !== 'tell' && kind !== 'send')) {
      outcomes.push({ ...current, host: { ...current.host, machine: null }, fault: `agent dies after step ${done}` });
      for (const host of powerLost(current.host, index)) outcomes.push({ ...current, host, fault: `power loss after step ${done}` });
    }
    const effect = effects[done];
    if (effect?.kind === 'journal' && effect.record.kind === 'taking' && effect.durability === 'fsync') {
      // As the journal leaves it: the record is there, whoever looks, and the next power loss may take it. The turn is over, and QEMU is adopted anew.
      const journal = appended(current.host.journal, effect.record, 'plain');
      outcomes.push({ ...current, host: { ...current.host, journal, machine: null }, fault: `the fsync of step ${done + 1} fails` });
    }
    if (effect !== undefined) current = carriedOut(current, index, pid, effect, event, idOf);
  }
  const after = current.host;
  const obeyed = 'fence' in event && !effects.some((effect) => effect.kind === 'tell' && effect.message.kind === 'refused');
  const promised = obeyed && event.fence > after.promised.fence ? { ...after.promised, fence: event.fence } : after.promised;
  outcomes.push({ ...current, host: { ...after, machine: state, promised } });
  return outcomes;
}

/** QEMUs are gone, the boot id is new, and any last part of the unsynced records is lost. */
export function powerLost(host: Host, index: number): readonly Host[] {
  const boot = host.boot + 1;
  return leftByPowerLoss(host.journal, bootOf(index, boot)).map((now) => ({
    ...host,
    boot,
    machine: null,
    qemus: [],
    memories: host.memories.filter(({ durable }) => durable),
    journal: { now, lossy: [] },
    promised: { ...host.promised, fence: 0 },
  }));
}

/** The view that the gate would have: of the process that the machine's copy is bound to. */
export function currentView({ machine, qemus }: Host): QemuView | null {
  if (machine === null || machine.copy.kind === 'none' || machine.copy.process === null) return null;
  const { pid } = machine.copy.process;
  return viewOf(qemus.find(({ epoch }) => epoch === pid));
}

function carriedOut(
  at: HostOutcome,
  index: number,
  pid: number,
  effect: HostEffect,
  event: HostEvent,
  idOf: (message: Message) => number,
): HostOutcome {
  const { host } = at;
  const name = HOSTS[index];
  const put = (change: Partial<Host>): HostOutcome => ({ ...at, host: { ...host, ...change } });
  const touched = (change: (qemu: Qemu) => Qemu): HostOutcome =>
    put({ qemus: host.qemus.map((qemu) => (qemu.epoch === pid ? change(qemu) : qemu)) });
  const send = (message: Message): HostOutcome => ({ ...at, sent: [...at.sent, idOf(message)] });
  switch (effect.kind) {
    case 'journal':
      return put({ journal: appended(host.journal, effect.record, effect.durability) });
    case 'cont': {
      const source = host.qemus.find(
        ({ epoch, out, run }) => epoch === pid && (out === 'active' || out === 'device' || run === 'postmigrate'),
      );
      if (source !== undefined && event.kind !== 'resume' && !goesOn(host, source))
        return { ...at, broken: `cont on ${name} while its guest is leaving` };
      const resumed = host.qemus.find(({ epoch, memory }) => epoch === pid && memory !== undefined)?.epoch ?? 0;
      const after = touched(cont);
      return resumed === 0 ? after : { ...after, host: { ...after.host, promised: { ...after.host.promised, resumed } } };
    }
    case 'stop':
      return touched((qemu) => ({ ...qemu, run: qemu.run === 'running' ? 'paused' : qemu.run }));
    case 'quit':
      return put({ qemus: host.qemus.filter(({ epoch }) => epoch !== effect.process.pid) });
    case 'powerDown':
    case 'reset':
      return at;
    case 'migrate': {
      const outgoing = host.machine?.copy.kind === 'held' ? host.machine.copy.outgoing : null;
      if (outgoing?.grant.epoch !== effect.epoch) return { ...at, broken: `migrate under epoch ${effect.epoch} without an arm` };
      const peer = indexOf(outgoing.grant.destination);
      const { epoch } = effect;
      return { ...touched((qemu) => ({ ...qemu, out: 'active', peer: { host: peer, epoch } })), migrates: { epoch, peer } };
    }
    case 'saveMemory':
      return touched(saving);
    case 'syncMemory': {
      if (!host.memories.some(({ epoch }) => epoch === effect.epoch)) return { ...at, broken: `${name} syncs a memory that is not there` };
      return put({ memories: host.memories.map((one) => (one.epoch === effect.epoch ? { ...one, durable: true } : one)) });
    }
    case 'continueMigration':
      return touched((qemu) => (qemu.out === 'pre-switchover' ? { ...qemu, out: 'device' } : qemu));
    case 'cancel':
      return touched((qemu) => (leaving(qemu) ? ended(qemu, 'cancelled') : qemu));
    case 'kill': {
      const target = effect.process?.pid ?? null;
      const victim = host.qemus.find(({ epoch, run }) => run === 'running' && (target === null || epoch === target));
      const newer = event.kind === 'destroy' && victim !== undefined && event.epoch > victim.epoch;
      if (victim !== undefined && !newer) return { ...at, broken: `a running copy on ${name} is killed without a newer epoch` };
      return put({ qemus: target === null ? [] : host.qemus.filter(({ epoch }) => epoch !== target) });
    }
    case 'send': {
      const stopped = host.qemus.some(({ epoch, run }) => epoch === pid && run === 'postmigrate');
      if (effect.message.kind === 'release' && !stopped) return { ...at, broken: `${name} releases a guest that is not stopped for good` };
      return send({ to: 'host', host: indexOf(effect.to), peer: effect.message });
    }
    case 'tell': {
      const { message } = effect;
      const told = message.kind === 'done' ? at : send({ to: 'controller', from: index, message });
      const promised = promisedBy(host, message);
      return promised === host.promised ? told : { ...told, host: { ...host, promised } };
    }
  }
}

/** A guest whose memory was saved for nothing: no record says, or will say, that the memory is the copy now. */
const goesOn = ({ machine, journal }: Host, { run }: Qemu): boolean =>
  run === 'postmigrate' && machine?.copy.kind === 'held' && machine.copy.suspending === true && journal.now.copy.kind === 'held';

function promisedBy({ promised }: Host, message: HostMessage): Host['promised'] {
  if (message.kind === 'granted' && message.epoch > promised.granted) return { ...promised, granted: message.epoch };
  if (message.kind === 'forfeited' && message.epoch > promised.forfeited) return { ...promised, forfeited: message.epoch };
  return promised;
}

/** A command under a lower fence than one obeyed before, in the same boot, must change nothing. */
function unfencedObedience(host: Host, event: HostEvent, effects: readonly HostEffect[]): string | null {
  if (!('fence' in event) || event.fence >= host.promised.fence) return null;
  const refused = effects.every((effect) => effect.kind === 'tell' && effect.message.kind === 'refused');
  return refused ? null : `${event.kind} obeyed under fence ${event.fence} after fence ${host.promised.fence}`;
}
