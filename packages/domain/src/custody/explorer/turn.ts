/** One turn of one host: an event, the transition, its effects carried out on the modelled QEMU, journal and network, wholly or up to a fault. */

import { hostStep } from '../host.ts';
import type { HostEffect } from '../host-effect.ts';
import type { HostEvent } from '../host-event.ts';
import { replayed } from '../recover.ts';
import type { Rules } from '../rules.ts';
import type { Interner } from './interner.ts';
import { cont, ended, leaving, type Qemu, viewOf } from './qemu-model.ts';
import { bootOf, HOSTS, type Host, indexOf, type Message, type World } from './world.ts';

export type Outcome = { readonly world: World; readonly broken: string | null };

/** Every way in which this turn can go: to its end, or, as long as faults are left, cut short by the death of the agent or of the host. */
export function turn(
  world: World,
  index: number,
  event: HostEvent,
  rules: Rules,
  messages: Interner<Message>,
): readonly (Outcome & { readonly fault: string })[] {
  const host = hostAt(world, index);
  if (host.machine === null) return [];
  const { state, effects } = hostStep(host.machine, event, rules);
  const before = host.machine.copy;
  const pid = before.kind === 'none' ? 0 : (before.process?.pid ?? 0);
  const outcomes: (Outcome & { readonly fault: string })[] = [];
  let current: Outcome = { world, broken: unfencedObedience(host, event, effects) };
  for (let done = 0; done < effects.length && current.broken === null; done += 1) {
    if (done > 0 && world.faults > 0 && effects.slice(done).some(({ kind }) => kind !== 'tell' && kind !== 'send')) {
      outcomes.push({ ...agentDead(spent(current.world), index), fault: `agent dies after step ${done}` });
      for (const lost of powerLost(spent(current.world), index))
        outcomes.push({ world: lost, broken: null, fault: `power loss after step ${done}` });
    }
    const effect = effects[done];
    if (effect !== undefined) current = carriedOut(current.world, index, pid, effect, event, messages);
  }
  const after = hostAt(current.world, index);
  const obeyed = 'fence' in event && !effects.some((effect) => effect.kind === 'tell' && effect.message.kind === 'refused');
  const promised = obeyed && event.fence > after.promised.fence ? { ...after.promised, fence: event.fence } : after.promised;
  const same = state === after.machine && promised === after.promised;
  outcomes.push({
    ...current,
    world: same ? current.world : withHost(current.world, index, { ...after, machine: state, promised }),
    fault: '',
  });
  return outcomes;
}

export const hostAt = (world: World, index: number): Host => {
  const host = world.hosts[index];
  if (host === undefined) throw new RangeError(`no host ${index}`);
  return host;
};

export const withHost = (world: World, index: number, host: Host): World => ({
  ...world,
  hosts: world.hosts.map((one, i) => (i === index ? host : one)),
});

export const spent = (world: World): World => ({ ...world, faults: world.faults - 1, unharmed: false });

export const agentDead = (world: World, index: number): Outcome => ({
  world: withHost(world, index, { ...hostAt(world, index), machine: null }),
  broken: null,
});

/** QEMUs are gone, the boot id is new, and any suffix of the unsynced records is lost. */
export function powerLost(world: World, index: number): readonly World[] {
  const host = hostAt(world, index);
  const next: World[] = [];
  const boot = host.boot + 1;
  for (let kept = 0; kept <= host.unsynced.length; kept += 1) {
    const left = host.unsynced.slice(0, kept).reduce(replayed, host.durable);
    const { copy } = left;
    const dead = copy.kind === 'held' || copy.kind === 'released' ? { ...copy, alive: false } : copy;
    const durable = { ...left, bootId: bootOf(index, boot), copy: dead };
    next.push(
      withHost(world, index, { ...host, boot, machine: null, qemus: [], durable, unsynced: [], promised: { ...host.promised, fence: 0 } }),
    );
  }
  return next;
}

/** Adds a message to the network, where it stays. */
export function sent(world: World, message: Message, messages: Interner<Message>): World {
  const id = messages.idOf(message);
  if (world.net.includes(id)) return world;
  return { ...world, net: [...world.net, id].sort((a, b) => a - b) };
}

/** The view that the gate would have: of the process that the machine's copy is bound to. */
export function currentView(host: Host) {
  const { machine } = host;
  if (machine === null || machine.copy.kind === 'none' || machine.copy.process === null) return null;
  const { pid } = machine.copy.process;
  return viewOf(host.qemus.find(({ epoch }) => epoch === pid));
}

function carriedOut(world: World, index: number, pid: number, effect: HostEffect, event: HostEvent, messages: Interner<Message>): Outcome {
  const host = hostAt(world, index);
  const touched = (change: (qemu: Qemu) => Qemu): Outcome => ({
    world: withHost(world, index, { ...host, qemus: host.qemus.map((qemu) => (qemu.epoch === pid ? change(qemu) : qemu)) }),
    broken: null,
  });
  switch (effect.kind) {
    case 'journal': {
      const unsynced = [...host.unsynced, effect.record];
      const next =
        effect.durability === 'plain' ? { ...host, unsynced } : { ...host, durable: unsynced.reduce(replayed, host.durable), unsynced: [] };
      return { world: withHost(world, index, next), broken: null };
    }
    case 'cont': {
      const source = host.qemus.find(
        ({ epoch, out, run }) => epoch === pid && (out === 'active' || out === 'device' || run === 'postmigrate'),
      );
      if (source !== undefined && event.kind !== 'resume') return { world, broken: `cont on ${HOSTS[index]} while its guest is leaving` };
      return touched(cont);
    }
    case 'stop':
      return touched((qemu) => ({ ...qemu, run: qemu.run === 'running' ? 'paused' : qemu.run }));
    case 'quit':
      return {
        world: withHost(world, index, { ...host, qemus: host.qemus.filter(({ epoch }) => epoch !== effect.process.pid) }),
        broken: null,
      };
    case 'powerDown':
    case 'reset':
      return { world, broken: null };
    case 'migrate': {
      const outgoing = host.machine?.copy.kind === 'held' ? host.machine.copy.outgoing : null;
      if (outgoing?.grant.epoch !== effect.epoch) return { world, broken: `migrate under epoch ${effect.epoch} without an arm` };
      const peer = indexOf(outgoing.grant.destination);
      if (hostAt(world, peer).durable.knownEpoch < effect.epoch)
        return { world, broken: `migrate under epoch ${effect.epoch} before its grant is durable at ${HOSTS[peer]}` };
      if (!host.cutOff && hostAt(world, peer).promised.forfeited >= effect.epoch)
        return { world, broken: `migrate under epoch ${effect.epoch}, which ${HOSTS[peer]} has forfeited` };
      return touched((qemu) => ({ ...qemu, out: 'active', peer: { host: peer, epoch: effect.epoch } }));
    }
    case 'continueMigration':
      return touched((qemu) => (qemu.out === 'pre-switchover' ? { ...qemu, out: 'device' } : qemu));
    case 'cancel':
      return touched((qemu) => (leaving(qemu) ? ended(qemu, 'cancelled') : qemu));
    case 'kill': {
      const target = effect.process?.pid ?? null;
      const victim = host.qemus.find(({ epoch, run }) => run === 'running' && (target === null || epoch === target));
      const newer = event.kind === 'destroy' && victim !== undefined && event.epoch > victim.epoch;
      if (victim !== undefined && !newer) return { world, broken: `a running copy on ${HOSTS[index]} is killed without a newer epoch` };
      const qemus = target === null ? [] : host.qemus.filter(({ epoch }) => epoch !== target);
      return { world: withHost(world, index, { ...host, qemus }), broken: null };
    }
    case 'send': {
      const stopped = host.qemus.some(({ epoch, run }) => epoch === pid && run === 'postmigrate');
      if (effect.message.kind === 'release' && !stopped)
        return { world, broken: `${HOSTS[index]} releases a guest that is not stopped for good` };
      const message: Message = { to: 'host', host: indexOf(effect.to), peer: effect.message };
      return { world: sent(world, message, messages), broken: null };
    }
    case 'tell': {
      const { message } = effect;
      // Refusals carry nothing that the row acts on, but a higher known epoch.
      const next =
        message.kind === 'done' ||
        (message.kind === 'refused' && message.refusal.code !== 'custody-epoch-not-newer' && message.refusal.knownEpoch <= world.row.epoch)
          ? world
          : sent(world, { to: 'controller', from: index, message }, messages);
      const { promised } = host;
      if (message.kind === 'granted' && message.epoch > promised.granted)
        return { world: withHost(next, index, { ...host, promised: { ...promised, granted: message.epoch } }), broken: null };
      if (message.kind === 'forfeited' && message.epoch > promised.forfeited)
        return { world: withHost(next, index, { ...host, promised: { ...promised, forfeited: message.epoch } }), broken: null };
      return { world: next, broken: null };
    }
  }
}

/** A command under a lower fence than one obeyed before, in the same boot, must change nothing. */
function unfencedObedience(host: Host, event: HostEvent, effects: readonly HostEffect[]): string | null {
  if (!('fence' in event) || event.fence >= host.promised.fence) return null;
  const refused = effects.every((effect) => effect.kind === 'tell' && effect.message.kind === 'refused');
  return refused ? null : `${event.kind} obeyed under fence ${event.fence} after fence ${host.promised.fence}`;
}
