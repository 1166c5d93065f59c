/** Everything that can happen next in a world. What concerns one host, or the row, is worked out once and remembered: the rest of the world does not matter to it. */
import { asEpoch, asFence, type HostId } from '../../ids.ts';
import { controllerStep } from '../controller.ts';
import type { ControllerEffect, ControllerEvent } from '../controller-event.ts';
import type { CustodyRow } from '../custody-row.ts';
import { type DisksFate, disksFate } from '../disks-fate.ts';
import { fencingDecides } from '../fencing.ts';
import type { Rules } from '../rules.ts';
import { type HostChange, HostChanges, type Quirks } from './host-changes.ts';
import { type Interned, Interner } from './interner.ts';
import { text } from './labels.ts';
import { surelyKnown } from './modelled-journal.ts';
import { type QemuChange, qemuSteps } from './qemu-steps.ts';
import { bootOf, type Disks, firstWorld, HOSTS, type Host, indexOf, type Message, migrationOf, type World } from './world.ts';

export type Successor = {
  readonly world: World;
  readonly broken: string | null;
  /** One line for the counterexample. */
  readonly label: () => string;
  /** It used up a fault: not something that recovery may count on. */
  readonly fault: boolean;
};

type Label = () => string;
type RowChange = {
  readonly row: Interned<CustodyRow>;
  readonly sent: readonly number[];
  readonly granted: number | null;
  readonly fate: DisksFate | null;
  /** The host that a move begins to copy disks to. */
  readonly copiesTo: number | null;
};

export class Successors {
  readonly messages = new Interner<Message>();
  readonly #rows = new Interner<CustodyRow>();
  readonly #hosts: HostChanges;
  readonly #rules: Rules;
  readonly #reduce: boolean;
  readonly #lateFences: boolean;
  readonly #qemus = new Map<string, readonly QemuChange[]>();
  readonly #decided = new Map<string, RowChange>();
  readonly #fenceable = new Map<number, boolean>();
  readonly #heard = new Map<number, RowChange>();
  readonly first: World;

  /** `reduce`: worlds that nothing can tell apart are one (canonical.ts). */
  constructor(
    scenario: Omit<Parameters<typeof firstWorld>[1], 'rules'> & { readonly lateFences?: boolean },
    rules: Rules,
    quirks: Quirks,
    reduce: boolean,
  ) {
    this.#rules = rules;
    this.#reduce = reduce;
    this.#lateFences = scenario.lateFences === true;
    this.#hosts = new HostChanges({ rules, quirks, messages: this.messages, reduce, restores: scenario.timeTravel });
    const world = firstWorld({ hosts: this.#hosts.all, rows: this.#rows }, { ...scenario, rules });
    this.first = { ...world, hosts: world.hosts.map(({ value }) => this.#hosts.of(value)) };
  }

  /** The host's one object. */
  host(host: Host): Interned<Host> {
    return this.#hosts.of(host);
  }

  of(world: World): readonly Successor[] {
    const next: Successor[] = [];
    this.#decisions(world, next);
    if (world.frozen !== null) this.#frozenDecisions(world, world.frozen, next);
    for (const id of world.net) {
      const message = this.messages.valueOf(id);
      if (message.to === 'controller') this.#controllerHears(world, id, message, next);
      else this.#hostReceives(world, id, message, next);
    }
    for (let index = 0; index < world.hosts.length; index += 1) this.#hostSteps(world, index, next);
    for (const { hosts, label, fault } of this.#qemuSteps(world.hosts)) {
      if (fault && world.faults === 0) continue;
      next.push({ world: { ...(fault ? spent(world) : world), hosts }, broken: null, label, fault });
    }
    return next;
  }

  #decisions(world: World, next: Successor[]): void {
    const row = world.row.value;
    const { fence } = row;
    if (row.operation === null && !row.behind)
      world.hosts.forEach(({ value: at }, index) => {
        const fenced = at.fenced !== null;
        const destination = host0(index);
        const bootId = bootOf(index, at.boot);
        if (world.moves > 0 && row.holder.kind === 'host' && row.holder.hostId !== destination)
          this.#decide(
            { ...world, moves: world.moves - 1 },
            {
              kind: 'beginMove',
              fence,
              migrationId: migrationOf(row.epoch + 1),
              destination,
              bootId,
              fenced,
              endState: 'running',
              postCopy: false,
            },
            () => `controller grants epoch ${row.epoch + 1} to ${destination} for a move`,
            next,
          );
        if (world.starts > 0)
          this.#decide(
            { ...world, starts: world.starts - 1 },
            { kind: 'beginStart', fence, destination, bootId, fenced, endState: 'running' },
            () => `controller grants epoch ${row.epoch + 1} to ${destination} for a start from disk`,
            next,
          );
        if (world.starts > 0) this.#resumes(world, index, at, next);
      });
    const { holder } = row;
    if (row.operation === null && !row.behind && holder.kind === 'host' && world.suspends > 0) {
      const command = { kind: 'suspend', fence, epoch: holder.epoch } as const;
      const id = this.messages.idOf({ to: 'host', host: indexOf(holder.hostId), command });
      next.push({
        world: { ...world, suspends: world.suspends - 1, net: added(world.net, [id]) },
        broken: null,
        label: () => `controller orders ${holder.hostId} to suspend epoch ${holder.epoch}`,
        fault: false,
      });
    }
    if (row.operation === null && holder.kind === 'suspended' && world.starts > 0)
      this.#decide({ ...world, unharmed: false }, { kind: 'destroy', fence }, () => 'controller gives the memory up', next);
    if (row.operation?.kind === 'move' || row.operation?.kind === 'start')
      this.#decide(world, { kind: 'abort', fence }, () => 'controller aborts', next);
    if (world.faults === 0) return;
    this.#decide(
      // With fenced rows every write of the frozen one fails, so that it need not be kept.
      { ...spent(world), frozen: this.#rules.rowFenced ? null : world.row },
      { kind: 'takeOver', fence: asFence(row.fence + 1) },
      () => 'another controller takes over',
      next,
      true,
    );
    if (world.backup !== null)
      this.#decide(
        { ...spent(world), row: world.backup, backup: null },
        { kind: 'restored', fence: asFence(row.fence + 1), hosts: world.hosts.map((_, index) => host0(index)) },
        () => 'the database is restored from its backup',
        next,
        true,
      );
  }

  /** Whatever memory a host has is asked for, also one that is none any more: the rules say which is. */
  #resumes(world: World, index: number, at: Host, next: Successor[]): void {
    const { epoch, fence } = world.row.value;
    const destination = host0(index);
    const asked = { kind: 'beginStart', fence, destination, bootId: bootOf(index, at.boot), fenced: at.fenced !== null } as const;
    for (const memory of at.memories)
      this.#decide(
        { ...world, starts: world.starts - 1 },
        { ...asked, endState: 'running', memory: asEpoch(memory.epoch) },
        () => `controller grants epoch ${epoch + 1} to ${destination} to resume the memory of epoch ${memory.epoch}`,
        next,
      );
  }

  /** An executor that was frozen before a takeover writes what it makes of the row that it read. Only possible when nothing fences row writes. */
  #frozenDecisions(world: World, frozen: Interned<CustodyRow>, next: Successor[]): void {
    // What it writes is its own, older row, also when what it has heard changes nothing in that.
    const stale = { ...world, row: frozen, frozen: null };
    const { fence } = frozen.value;
    this.#decide(stale, { kind: 'abort', fence }, () => 'the frozen controller wakes and aborts', next, false, world);
    for (const id of world.net) {
      const message = this.messages.valueOf(id);
      if (message.to !== 'controller') continue;
      this.#decide(
        stale,
        { kind: 'heard', fence, from: host0(message.from), message: message.message },
        () => `the frozen controller wakes and hears ${HOSTS[message.from]}: ${text(message.message)}`,
        next,
        false,
        world,
      );
    }
  }

  #controllerHears(world: World, id: number, message: Extract<Message, { to: 'controller' }>, next: Successor[]): void {
    const row = world.row.value;
    const key = world.row.id * 2 ** 24 + id;
    let change = this.#heard.get(key);
    if (change === undefined) {
      change = this.#step(row, { kind: 'heard', fence: row.fence, from: host0(message.from), message: message.message });
      this.#heard.set(key, change);
    }
    this.#write(world, change, () => `controller hears ${HOSTS[message.from]}: ${text(message.message)}`, next, false);
  }

  #decide(world: World, event: ControllerEvent, label: Label, next: Successor[], fault = false, from: World = world): void {
    const key = `${world.row.id} ${JSON.stringify(event)}`;
    let change = this.#decided.get(key);
    if (change === undefined) {
      change = this.#step(world.row.value, event);
      this.#decided.set(key, change);
    }
    this.#write(world, change, label, next, fault, from);
  }

  #step(before: CustodyRow, event: ControllerEvent): RowChange {
    const { row, effects } = controllerStep(before, event, this.#rules);
    const { operation } = row;
    const begun =
      (event.kind === 'beginMove' || event.kind === 'beginStart') && (operation?.kind === 'move' || operation?.kind === 'start');
    return {
      row: this.#rows.of(row),
      sent: effects.flatMap((effect) => {
        const message = messageOf(effect);
        return message === null ? [] : [this.messages.idOf(message)];
      }),
      granted: begun ? operation.grant.epoch : null,
      fate: disksFate(before, event, row, this.#rules),
      copiesTo: begun && operation.kind === 'move' ? indexOf(operation.grant.destination) : null,
    };
  }

  /** `from`: the world that this happens in, where another row may be in force. */
  #write(world: World, change: RowChange, label: Label, next: Successor[], fault: boolean, from: World = world): void {
    const { row, sent, granted } = change;
    const net = added(world.net, sent);
    const disks = disksAfter(world.disks, change);
    let { highestGranted } = world;
    let broken: string | null = null;
    if (granted !== null) {
      if (granted <= highestGranted) broken = `epoch ${granted} is granted although ${highestGranted} was before`;
      highestGranted = Math.max(granted, highestGranted);
    }
    if (row === from.row && net === world.net && disks === world.disks && granted === null && !fault) return;
    next.push({ world: { ...world, row, net, highestGranted, disks }, broken, label, fault });
  }

  #hostReceives(world: World, id: number, message: Extract<Message, { to: 'host' }>, next: Successor[]): void {
    const host = world.hosts[message.host];
    if (host === undefined) return;
    for (const change of this.#hosts.received(host, message.host, id, message)) this.#put(world, message.host, change, next);
  }

  #put(world: World, index: number, change: HostChange, next: Successor[]): void {
    const { host, sent, migrates, fault, label } = change;
    if (fault !== null && world.faults === 0) return;
    let net = added(
      world.net,
      sent.filter((id) => this.#carries(world.row.value, id)),
    );
    if (net === world.net && host === world.hosts[index] && change.broken === null && fault === null) return;
    if (net.length === world.net.length) net = world.net;
    const broken = change.broken ?? (migrates === null ? null : this.#wronglyMigrates(world, index, migrates));
    const hosts = host === world.hosts[index] ? world.hosts : world.hosts.map((one, at) => (at === index ? host : one));
    next.push({ world: { ...(fault === null ? world : spent(world)), hosts, net }, broken, label, fault: fault !== null });
  }

  /** Refusals carry nothing that the row acts on, but a higher known epoch. */
  #carries({ epoch }: CustodyRow, id: number): boolean {
    const message = this.messages.valueOf(id);
    if (message.to === 'host' || message.message.kind !== 'refused') return true;
    const { refusal } = message.message;
    return refusal.code === 'custody-epoch-not-newer' || refusal.knownEpoch > epoch;
  }

  #wronglyMigrates(world: World, index: number, { epoch, peer }: { readonly epoch: number; readonly peer: number }): string | null {
    const there = hostAt(world, peer);
    if (surelyKnown(there.journal) < epoch) return `migrate under epoch ${epoch} before its grant is durable at ${HOSTS[peer]}`;
    if (!hostAt(world, index).cutOff && there.promised.forfeited >= epoch)
      return `migrate under epoch ${epoch}, which ${HOSTS[peer]} has forfeited`;
    return null;
  }

  #hostSteps(world: World, index: number, next: Successor[]): void {
    const host = world.hosts[index];
    if (host === undefined) return;
    const at = host.value;
    const name = host0(index);
    for (const change of this.#hosts.own(host, index)) this.#put(world, index, change, next);
    const { row } = world;
    this.#reports(world, host, index, next);
    if (at.machine !== null) {
      if (world.faults > 0) this.#dies(world, index, this.#hosts.of({ ...at, machine: null }), () => `agent of ${name} dies`, next);
    }
    const event: ControllerEvent = { kind: 'fenced', fence: row.value.fence, hostId: name };
    if (this.#lateFences && at.fenced !== null && this.#fencingDecides(row, index))
      this.#decide(world, event, () => `custody is told that ${name} is fenced`, next);
    // Either nothing of what ran there is left, or the row knows of nothing there.
    if (at.fenced !== null && (this.#lateFences ? at.boot !== at.fenced || !names(row.value, name) : isCleared(row.value, name)))
      next.push({
        world: { ...world, hosts: this.#replaced(world, index, this.#hosts.of({ ...at, cutOff: false, fenced: null })) },
        broken: null,
        label: () => `${name} is let back`,
        fault: false,
      });
    this.#listings(world, at, index, next);
    this.#deletions(world, index, next);
    if (world.faults === 0) return;
    const fencing = (fenced: World, label: Label): void => {
      if (this.#lateFences) next.push({ world: fenced, broken: null, label, fault: true });
      else this.#decide(fenced, event, label, next, true);
    };
    for (const lost of this.#hosts.afterPowerLoss(host, index)) {
      const dark: Successor[] = [];
      this.#dies(world, index, lost, () => `${name} loses power`, dark);
      for (const one of dark) {
        next.push(one);
        if (at.fenced !== null || one.broken !== null) continue;
        const fenced = this.#hosts.of({ ...hostAt(one.world, index), fenced: this.#lateFences ? at.boot : null });
        fencing({ ...one.world, hosts: this.#replaced(one.world, index, fenced) }, () => `${one.label()}, and is fenced`);
      }
    }
    if (at.fenced === null) {
      const cut = this.#hosts.of({ ...at, cutOff: true, fenced: at.boot });
      fencing({ ...spent(world), hosts: this.#replaced(world, index, cut) }, () => `${name} is fenced by cutting it off`);
    }
  }

  #fencingDecides(row: Interned<CustodyRow>, index: number): boolean {
    const key = row.id * HOSTS.length + index;
    let decides = this.#fenceable.get(key);
    if (decides === undefined) {
      decides = fencingDecides(row.value, host0(index));
      this.#fenceable.set(key, decides);
    }
    return decides;
  }

  /** A listing that does not mention the server may have been made at any time, in this boot or one before. */
  #listings(world: World, at: Host, index: number, next: Successor[]): void {
    const row = world.row.value;
    const { holder, fence } = row;
    const from = host0(index);
    if (at.machine === null || row.operation !== null || holder.kind !== 'host' || holder.hostId !== from) return;
    for (let boot = 0; boot <= at.boot; boot += 1)
      this.#decide(
        world,
        { kind: 'absent', fence, from, listed: bootOf(index, boot), bootId: bootOf(index, at.boot) },
        () => `a listing of boot ${boot} of ${from} is read, which does not mention the server`,
        next,
      );
  }

  /** Disks that a move has left are deleted once the guest lives elsewhere. */
  #deletions(world: World, index: number, next: Successor[]): void {
    const { disks, row } = world;
    const bit = 1 << index;
    const { holder, operation, behind } = row.value;
    if (disks === null || (disks.left & bit) === 0 || operation !== null || behind) return;
    if (holder.kind !== 'host' || holder.hostId === HOSTS[index]) return;
    const broken = (disks.ran & bit) === 0 ? null : `disks at ${HOSTS[index]} with which the guest has run are deleted as leftovers`;
    const label: Label = () => `what a move has left at ${HOSTS[index]} is deleted`;
    next.push({ world: { ...world, disks: { ...disks, left: disks.left & ~bit } }, broken, label, fault: false });
  }

  #reports(world: World, host: Interned<Host>, index: number, next: Successor[]): void {
    const report = this.#hosts.report(host, index);
    const message = report === null ? null : this.messages.valueOf(report);
    if (report === null || message?.to !== 'controller') return;
    const told: Successor[] = [];
    this.#controllerHears(world, report, message, told);
    for (const one of told) next.push({ ...one, label: () => `${HOSTS[index]} reports` });
  }

  #replaced = (world: World, index: number, host: Interned<Host>): readonly Interned<Host>[] =>
    world.hosts.map((one, at) => (at === index ? host : one));

  /**
   * A host whose agent has just died. When worlds are reduced it starts again at once: an agent that lives and is left alone differs in nothing from a dead one that starts later, as
   * long as it died between two turns, or with its QEMUs. (One that died within a turn leaves half of its effects undone, and QEMU may go on before it is back.)
   */
  #dies(world: World, index: number, dead: Interned<Host>, label: Label, next: Successor[]): void {
    const after: World = { ...spent(world), hosts: this.#replaced(world, index, dead) };
    if (!this.#reduce) {
      next.push({ world: after, broken: null, label, fault: true });
      return;
    }
    const started: Successor[] = [];
    for (const change of this.#hosts.own(dead, index)) this.#put(after, index, change, started);
    for (const one of started) next.push({ ...one, label: () => `${label()}; ${one.label()}`, fault: true });
  }

  /** What the QEMUs do by themselves, and among each other. */
  #qemuSteps(hosts: readonly Interned<Host>[]): readonly QemuChange[] {
    const key = hosts.map(({ id }) => id).join(' ');
    let known = this.#qemus.get(key);
    if (known === undefined) {
      known = qemuSteps(hosts, (host) => this.#hosts.of(host));
      this.#qemus.set(key, known);
    }
    return known;
  }
}

const spent = (world: World): World => ({ ...world, faults: world.faults - 1, unharmed: false });

export const hostAt = (world: World, index: number): Host => {
  const host = world.hosts[index];
  if (host === undefined) throw new RangeError(`no host ${index}`);
  return host.value;
};

const isCleared = ({ operation, remains }: CustodyRow, host: HostId): boolean =>
  operation?.kind !== 'recovery' && !remains.some(({ hostId }) => hostId === host);

/** Any mention of the host in the row, but for a saved memory: that runs nowhere. */
function names({ holder, operation, remains }: CustodyRow, hostId: HostId): boolean {
  if (holder.kind === 'host' && holder.hostId === hostId) return true;
  if (remains.some((one) => one.hostId === hostId)) return true;
  switch (operation?.kind) {
    case undefined:
      return false;
    case 'destroy':
      return operation.hostId === hostId;
    case 'recovery':
      return operation.waitingFor.includes(hostId) || operation.reports.some((one) => one.hostId === hostId);
    case 'move':
    case 'start':
      return operation.grant.source === hostId || operation.grant.destination === hostId;
  }
}

/** A move copies over whatever is at its destination. */
function disksAfter(disks: Disks | null, { fate, copiesTo }: RowChange): Disks | null {
  if (disks === null || (fate === null && copiesTo === null)) return disks;
  const bit = fate === null ? 0 : 1 << indexOf(fate.hostId);
  const left = fate?.kind === 'leftover' ? disks.left | bit : disks.left & ~bit;
  const ran = copiesTo === null ? disks.ran : disks.ran & ~(1 << copiesTo);
  return left === disks.left && ran === disks.ran ? disks : { ran, left };
}

/** With these messages too; the same object when all were sent before. */
function added(net: readonly number[], sent: readonly number[]): readonly number[] {
  const fresh = sent.filter((id) => !net.includes(id));
  return fresh.length === 0 ? net : [...new Set([...net, ...fresh])].sort((a, b) => a - b);
}

/** A release is the same statement whoever carries it. */
function messageOf(effect: ControllerEffect): Message | null {
  switch (effect.kind) {
    case 'command':
      return { to: 'host', host: indexOf(effect.to), command: effect.command };
    case 'relay':
      return { to: 'host', host: indexOf(effect.to), peer: { kind: 'release', release: effect.release } };
    case 'refuse':
      return null;
  }
}

const host0 = (index: number) => {
  const host = HOSTS[index];
  if (host === undefined) throw new RangeError(`no host ${index}`);
  return host;
};
