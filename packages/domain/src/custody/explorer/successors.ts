/** Everything that can happen next in a world. */
import { asFence } from '../../ids.ts';
import { controllerStep } from '../controller.ts';
import type { ControllerEffect, ControllerEvent } from '../controller-event.ts';
import { hostReport } from '../holder.ts';
import type { HostEvent } from '../host-event.ts';
import { replayed } from '../recover.ts';
import type { Rules } from '../rules.ts';
import type { Interner } from './interner.ts';
import { completed, ended, launched, leaving, loaded, type Qemu, viewOf } from './qemu-model.ts';
import { agentDead, currentView, hostAt, type Outcome, powerLost, sent, spent, turn, withHost } from './turn.ts';
import { bootOf, HOSTS, type Host, indexOf, type Message, migrationOf, type World } from './world.ts';

export type Successor = Outcome & {
  /** One line for the counterexample. */
  readonly label: () => string;
  /** It used up a fault: not something that recovery may count on. */
  readonly fault: boolean;
};

export type Quirks = {
  /** The agent starts what it held before a reboot, by itself (rule 0 broken). */
  readonly startsAtBoot: boolean;
};

export function successors(world: World, rules: Rules, messages: Interner<Message>, quirks: Quirks): Successor[] {
  const next: Successor[] = [];
  const add: Add = (label, outcome, fault = false) => {
    if (outcome.world !== world || outcome.broken !== null) next.push({ world: outcome.world, broken: outcome.broken, label, fault });
  };
  const host: HostStep = (label, index, from, event) => {
    hostOnce(label, index, from, event);
    // QEMU does not wait: it may complete between the look and what is done upon it.
    const raced = 'view' in event && event.view?.migration === 'device' ? completedMeanwhile(from, index) : null;
    if (raced !== null) hostOnce(() => `${label()} (QEMU completes meanwhile)`, index, raced, event);
  };
  const hostOnce: HostStep = (label, index, from, event) => {
    for (const outcome of turn(from, index, event, rules, messages))
      add(outcome.fault === '' ? label : () => `${label()}, ${outcome.fault}`, outcome, outcome.fault !== '');
  };
  const controller: Controller = (label, from, event, fault = false) => {
    add(label, decided(from, event, rules, messages), fault);
  };

  decisions(world, rules, controller);
  if (world.frozen !== null) frozenDecisions(world, world.frozen, rules, messages, add);
  for (const id of world.net) {
    const message = messages.valueOf(id);
    if (message.to === 'controller')
      controller(() => `controller hears ${HOSTS[message.from]}: ${text(message.message)}`, world, {
        kind: 'heard',
        fence: world.row.fence,
        from: host0(message.from),
        message: message.message,
      });
    else {
      const at = hostAt(world, message.host);
      if (at.machine === null) continue;
      host(() => `${HOSTS[message.host]} receives ${textOf(message)}`, message.host, world, received(at, message));
    }
  }
  world.hosts.forEach((at, index) => hostSteps(world, at, index, quirks, rules, host, controller, add));
  return next;
}

type Label = () => string;
type HostStep = (label: Label, index: number, from: World, event: HostEvent) => void;
type Controller = (label: Label, from: World, event: ControllerEvent, fault?: boolean) => void;
type Add = (label: Label, outcome: Outcome, fault?: boolean) => void;

function decisions(world: World, rules: Rules, controller: Controller): void {
  const { row } = world;
  const { fence } = row;
  if (row.operation === null && !row.behind)
    world.hosts.forEach((at, index) => {
      const destination = host0(index);
      const bootId = bootOf(index, at.boot);
      if (at.cutOff) return;
      if (world.moves > 0 && row.holder.kind === 'host' && row.holder.hostId !== destination)
        controller(
          () => `controller grants epoch ${row.epoch + 1} to ${destination} for a move`,
          { ...world, moves: world.moves - 1 },
          {
            kind: 'beginMove',
            fence,
            migrationId: migrationOf(row.epoch + 1),
            destination,
            bootId,
            endState: 'running',
            postCopy: false,
          },
        );
      if (world.starts > 0)
        controller(
          () => `controller grants epoch ${row.epoch + 1} to ${destination} for a start from disk`,
          { ...world, starts: world.starts - 1 },
          {
            kind: 'beginStart',
            fence,
            destination,
            bootId,
            endState: 'running',
          },
        );
    });
  if (row.operation?.kind === 'move' || row.operation?.kind === 'start')
    controller(() => 'controller aborts', world, { kind: 'abort', fence });
  if (world.faults > 0) {
    // With fenced rows every write of the frozen one fails, so that it need not be kept.
    const frozen = rules.rowFenced ? null : row;
    controller(
      () => 'another controller takes over',
      { ...spent(world), frozen },
      { kind: 'takeOver', fence: asFence(row.fence + 1) },
      true,
    );
  }
  if (world.faults > 0 && world.backup !== null)
    controller(
      () => 'the database is restored from its backup',
      { ...spent(world), row: world.backup, backup: null },
      { kind: 'restored', fence: asFence(row.fence + 1), hosts: world.hosts.map((_, index) => host0(index)) },
      true,
    );
}

/** An executor that was frozen before a takeover writes what it makes of the row that it read. Only possible when nothing fences row writes. */
function frozenDecisions(world: World, frozen: World['row'], rules: Rules, messages: Interner<Message>, add: Add): void {
  const stale = { ...world, row: frozen, frozen: null };
  add(() => 'the frozen controller wakes and aborts', decided(stale, { kind: 'abort', fence: frozen.fence }, rules, messages));
  for (const id of world.net) {
    const message = messages.valueOf(id);
    if (message.to !== 'controller') continue;
    const event: ControllerEvent = { kind: 'heard', fence: frozen.fence, from: host0(message.from), message: message.message };
    add(
      () => `the frozen controller wakes and hears ${HOSTS[message.from]}: ${text(message.message)}`,
      decided(stale, event, rules, messages),
    );
  }
}

function hostSteps(
  world: World,
  at: Host,
  index: number,
  quirks: Quirks,
  rules: Rules,
  host: HostStep,
  controller: Controller,
  add: Add,
): void {
  const name = HOSTS[index];
  if (at.machine === null) {
    const machine = at.unsynced.reduce(replayed, at.durable);
    const pid = machine.copy.kind === 'none' ? 0 : (machine.copy.process?.pid ?? 0);
    const restarts = quirks.startsAtBoot && machine.copy.kind === 'held' && !machine.copy.alive;
    const qemus: readonly Qemu[] = restarts ? [{ ...launched(pid, false), run: 'running' }] : at.qemus;
    const view = viewOf(qemus.find(({ epoch }) => epoch === pid) ?? (machine.copy.kind === 'none' ? qemus[0] : undefined));
    host(() => `agent of ${name} starts`, index, withHost(world, index, { ...at, machine, qemus }), { kind: 'adopt', view });
  } else {
    const { copy } = at.machine;
    host(() => `${name} looks at QEMU`, index, world, { kind: 'observed', view: currentView(at) });
    controller(() => `${name} reports`, world, {
      kind: 'heard',
      fence: world.row.fence,
      from: host0(index),
      message: hostReport(at.machine, null),
    });
    if (copy.kind === 'granted' && copy.process === null && (!rules.takeBootProof || copy.grant.bootId === at.machine.bootId)) {
      const { epoch } = copy.grant;
      const prepared = withHost(world, index, { ...at, qemus: [...at.qemus, launched(epoch, copy.grant.source !== null)] });
      host(() => `${name} starts QEMU for epoch ${epoch}`, index, prepared, {
        kind: 'bind',
        epoch,
        process: { pid: epoch, startTicks: 0 },
      });
    }
    if (copy.kind !== 'none') {
      const stray: HostEvent = { kind: 'unpause', fence: at.machine.fence, epoch: copy.grant.epoch, view: currentView(at) };
      host(() => `${name} is told to unpause epoch ${stray.epoch}`, index, world, stray);
    }
    if (world.faults > 0) add(() => `agent of ${name} dies`, agentDead(spent(world), index), true);
  }
  for (const qemu of at.qemus) qemuSteps(world, at, index, qemu, add);
  if (at.cutOff && world.row.operation?.kind !== 'recovery' && !world.row.remains.some(({ hostId }) => hostId === name))
    add(() => `${name} is let back`, { world: withHost(world, index, { ...at, cutOff: false }), broken: null });
  if (world.faults === 0) return;
  for (const lost of powerLost(spent(world), index)) {
    add(() => `${name} loses power`, { world: lost, broken: null }, true);
    if (!at.cutOff)
      controller(() => `${name} is fenced by power-off`, lost, { kind: 'fenced', fence: world.row.fence, hostId: host0(index) }, true);
  }
  if (!at.cutOff)
    controller(
      () => `${name} is fenced by cutting it off`,
      withHost(spent(world), index, { ...at, cutOff: true }),
      { kind: 'fenced', fence: world.row.fence, hostId: host0(index) },
      true,
    );
}

function qemuSteps(world: World, at: Host, index: number, qemu: Qemu, add: Add): void {
  const name = HOSTS[index];
  const put = (from: World, at0: number, epoch: number, change: Qemu | null): World => {
    const target = hostAt(from, at0);
    const qemus = target.qemus.flatMap((one) => (one.epoch !== epoch ? [one] : change === null ? [] : [change]));
    return withHost(from, at0, { ...target, qemus });
  };
  const ok = (next: World): Outcome => ({ world: next, broken: null });
  if (qemu.peer !== null && leaving(qemu)) {
    const { peer } = qemu;
    const there = hostAt(world, peer.host);
    const other = there.qemus.find(({ epoch }) => epoch === peer.epoch);
    const linked = !at.cutOff && !there.cutOff;
    add(() => `QEMU on ${name} fails to migrate and resumes`, ok(put(world, index, qemu.epoch, ended(qemu, 'failed'))));
    if (qemu.out === 'active' && linked && other?.run === 'inmigrate' && other.inc === 'none') {
      const stopped = put(world, index, qemu.epoch, { ...qemu, out: 'device', run: 'finish-migrate' });
      add(() => `QEMU on ${name} stops for the switchover`, ok(put(stopped, peer.host, other.epoch, { ...other, inc: 'active' })));
    }
    if (qemu.out === 'device' && linked && other?.inc === 'active')
      add(() => `QEMU on ${HOSTS[peer.host]} has loaded`, ok(put(world, peer.host, other.epoch, loaded(other))));
    if (qemu.out === 'device') add(() => `QEMU on ${name} completes`, ok(put(world, index, qemu.epoch, completed(qemu))));
  }
  if (qemu.run === 'inmigrate' && qemu.inc === 'active') {
    const fed = world.hosts.some((one) =>
      one.qemus.some((source) => leaving(source) && source.peer?.host === index && source.peer.epoch === qemu.epoch),
    );
    if (!fed) add(() => `incoming QEMU on ${name} exits`, ok(put(world, index, qemu.epoch, null)));
  }
  if (world.faults > 0) add(() => `QEMU on ${name} dies`, ok(put(spent(world), index, qemu.epoch, null)), true);
}

/** The world in which the QEMU that is switching over on this host has just completed, or null. */
function completedMeanwhile(world: World, index: number): World | null {
  const at = hostAt(world, index);
  if (!at.qemus.some(({ out }) => out === 'device')) return null;
  return withHost(world, index, { ...at, qemus: at.qemus.map((qemu) => (qemu.out === 'device' ? completed(qemu) : qemu)) });
}

function decided(world: World, event: ControllerEvent, rules: Rules, messages: Interner<Message>): Outcome {
  const { row, effects } = controllerStep(world.row, event, rules);
  const operation = row.operation;
  let { highestGranted } = world;
  let broken: string | null = null;
  if ((event.kind === 'beginMove' || event.kind === 'beginStart') && (operation?.kind === 'move' || operation?.kind === 'start')) {
    const { epoch } = operation.grant;
    if (epoch <= highestGranted) broken = `epoch ${epoch} is granted although ${highestGranted} was before`;
    highestGranted = Math.max(epoch, highestGranted);
  }
  let next: World = row === world.row && highestGranted === world.highestGranted ? world : { ...world, row, highestGranted };
  for (const effect of effects) {
    const message = messageOf(effect);
    if (message !== null) next = sent(next, message, messages);
  }
  return { world: next, broken };
}

function messageOf(effect: ControllerEffect): Message | null {
  switch (effect.kind) {
    case 'command':
      return { to: 'host', host: indexOf(effect.to), command: effect.command };
    case 'relay':
      return { to: 'host', host: indexOf(effect.to), relay: effect.release };
    case 'refuse':
      return null;
  }
}

function received(at: Host, message: Extract<Message, { to: 'host' }>): HostEvent {
  const view = currentView(at);
  if ('relay' in message) return { kind: 'release', release: message.relay, view };
  if ('command' in message) return { ...message.command, view } as HostEvent;
  if (message.peer.kind === 'release') return { kind: 'release', release: message.peer.release, view };
  return { kind: 'postCopyReady', epoch: message.peer.epoch, view };
}

const host0 = (index: number) => {
  const host = HOSTS[index];
  if (host === undefined) throw new RangeError(`no host ${index}`);
  return host;
};

function textOf(message: Extract<Message, { to: 'host' }>): string {
  if ('relay' in message) return `the relayed release of epoch ${message.relay.epoch}`;
  if ('peer' in message) return message.peer.kind === 'release' ? `the release of epoch ${message.peer.release.epoch}` : text(message.peer);
  return `${text(message.command)} (fence ${message.command.fence})`;
}

function text(message: { readonly kind: string }): string {
  const fields = message as {
    readonly epoch?: number;
    readonly source?: string;
    readonly grant?: { readonly epoch: number };
    readonly alive?: boolean;
  };
  const epoch = fields.grant?.epoch ?? fields.epoch;
  const extra = fields.source ?? (fields.alive === undefined ? '' : fields.alive ? 'alive' : 'dead');
  return [message.kind, epoch ?? '', extra].filter((part) => part !== '').join(' ');
}
