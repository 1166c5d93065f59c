/** Everything that can happen next in a world. What concerns one host, or the row, is worked out once and remembered: the rest of the world does not matter to it. */
import { asFence } from '../../ids.ts';
import { controllerStep } from '../controller.ts';
import type { ControllerEffect, ControllerEvent } from '../controller-event.ts';
import type { CustodyRow } from '../custody-row.ts';
import { hostReport } from '../holder.ts';
import type { HostReport } from '../host-effect.ts';
import type { HostEvent } from '../host-event.ts';
import type { Rules } from '../rules.ts';
import { canonicalHost, canonicalReport } from './canonical.ts';
import { currentView, type HostOutcome, hostTurn, powerLost } from './host-turn.ts';
import { type Interned, Interner } from './interner.ts';
import { surelyKnown } from './modelled-journal.ts';
import { completed, ended, launched, leaving, loaded, type Qemu, viewOf } from './qemu-model.ts';
import { bootOf, firstWorld, HOSTS, type Host, indexOf, type Message, migrationOf, type World } from './world.ts';

export type Successor = {
  readonly world: World;
  readonly broken: string | null;
  /** One line for the counterexample. */
  readonly label: () => string;
  /** It used up a fault: not something that recovery may count on. */
  readonly fault: boolean;
};

export type Quirks = {
  /** The agent starts what it held before a reboot, by itself (rule 0 broken). */
  readonly startsAtBoot: boolean;
};

type Label = () => string;
/** What one host does by itself or upon a message. */
type HostChange = Omit<HostOutcome, 'host'> & { readonly host: Interned<Host>; readonly label: Label };
type RowChange = { readonly row: Interned<CustodyRow>; readonly sent: readonly number[]; readonly granted: number | null };
type QemuChange = { readonly hosts: readonly Interned<Host>[]; readonly label: Label; readonly fault: boolean };

export class Successors {
  readonly messages = new Interner<Message>();
  readonly #hosts = new Interner<Host>();
  readonly #rows = new Interner<CustodyRow>();
  readonly #rules: Rules;
  readonly #quirks: Quirks;
  readonly #reduce: boolean;
  #plainReports = false;
  readonly #received = new Map<number, HostChange[]>();
  readonly #own = new Map<number, readonly HostChange[]>();
  readonly #powerLost = new Map<number, readonly Interned<Host>[]>();
  readonly #reports = new Map<number, number>();
  readonly #qemus = new Map<string, readonly QemuChange[]>();
  readonly #decided = new Map<string, RowChange>();
  readonly #heard = new Map<number, RowChange>();

  constructor(rules: Rules, quirks: Quirks, reduce: boolean) {
    this.#rules = rules;
    this.#quirks = quirks;
    this.#reduce = reduce;
  }

  first(options: Omit<Parameters<typeof firstWorld>[1], 'rules'>): World {
    this.#plainReports = this.#reduce && !options.timeTravel;
    const world = firstWorld({ hosts: this.#hosts, rows: this.#rows }, { ...options, rules: this.#rules });
    return { ...world, hosts: world.hosts.map(({ value }) => this.host(value)) };
  }

  /** The host's one object. */
  host(host: Host): Interned<Host> {
    return this.#hosts.of(this.#reduce ? canonicalHost(host) : host);
  }

  of(world: World): readonly Successor[] {
    const next: Successor[] = [];
    this.#decisions(world, next);
    if (world.frozen !== null) this.#frozenDecisions(world, world.frozen, next);
    for (const id of world.net) {
      const message = this.messages.valueOf(id);
      if (message.to === 'controller') this.#controllerHears(world, id, message, next);
      else for (const change of this.#receive(world, message.host, id, message)) this.#put(world, message.host, change, next);
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
        if (at.cutOff) return;
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
              endState: 'running',
              postCopy: false,
            },
            () => `controller grants epoch ${row.epoch + 1} to ${destination} for a move`,
            next,
          );
        if (world.starts > 0)
          this.#decide(
            { ...world, starts: world.starts - 1 },
            { kind: 'beginStart', fence, destination, bootId, endState: 'running' },
            () => `controller grants epoch ${row.epoch + 1} to ${destination} for a start from disk`,
            next,
          );
      });
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
    };
  }

  /** `from`: the world that this happens in, where another row may be in force. */
  #write(world: World, { row, sent, granted }: RowChange, label: Label, next: Successor[], fault: boolean, from: World = world): void {
    const net = added(world.net, sent);
    let { highestGranted } = world;
    let broken: string | null = null;
    if (granted !== null) {
      if (granted <= highestGranted) broken = `epoch ${granted} is granted although ${highestGranted} was before`;
      highestGranted = Math.max(granted, highestGranted);
    }
    if (row === from.row && net === world.net && granted === null && !fault) return;
    next.push({ world: { ...world, row, net, highestGranted }, broken, label, fault });
  }

  #receive(world: World, index: number, id: number, message: Extract<Message, { to: 'host' }>): readonly HostChange[] {
    const host = world.hosts[index];
    if (host === undefined || host.value.machine === null) return [];
    const key = host.id * 2 ** 24 + id;
    let changes = this.#received.get(key);
    if (changes === undefined) {
      changes = [...this.#turns(host.value, index, received(host.value, message), () => `${HOSTS[index]} receives ${textOf(message)}`)];
      this.#received.set(key, changes);
    }
    return changes;
  }

  /** The turn, and the one in which QEMU, which does not wait, completes between the look and what is done upon it. */
  *#turns(host: Host, index: number, event: HostEvent, label: Label): Generator<HostChange> {
    yield* this.#turn(host, index, event, label);
    const raced = 'view' in event && event.view?.migration === 'device' ? completedMeanwhile(host) : null;
    if (raced !== null) yield* this.#turn(raced, index, event, () => `${label()} (QEMU completes meanwhile)`);
  }

  *#turn(host: Host, index: number, event: HostEvent, label: Label): Generator<HostChange> {
    for (const outcome of hostTurn(host, index, event, this.#rules, (message) => this.#idOf(message))) {
      const { fault } = outcome;
      yield { ...outcome, host: this.host(outcome.host), label: fault === null ? label : () => `${label()}, ${fault}` };
    }
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
    for (const change of this.#ownSteps(host, index)) this.#put(world, index, change, next);
    const { row } = world;
    if (at.machine !== null) {
      let report = this.#reports.get(host.id);
      if (report === undefined) {
        report = this.#idOf({ to: 'controller', from: index, message: hostReport(at.machine, null) });
        this.#reports.set(host.id, report);
      }
      const message = this.messages.valueOf(report);
      const before = next.length;
      if (message.to === 'controller') this.#controllerHears(world, report, message, next);
      for (let added = before; added < next.length; added += 1)
        next[added] = { ...(next[added] as Successor), label: () => `${name} reports` };
      if (world.faults > 0) this.#dies(world, index, this.host({ ...at, machine: null }), () => `agent of ${name} dies`, next);
    }
    if (at.cutOff && row.value.operation?.kind !== 'recovery' && !row.value.remains.some(({ hostId }) => hostId === name))
      next.push({
        world: { ...world, hosts: this.#replaced(world, index, this.host({ ...at, cutOff: false })) },
        broken: null,
        label: () => `${name} is let back`,
        fault: false,
      });
    if (world.faults === 0) return;
    let losses = this.#powerLost.get(host.id);
    if (losses === undefined) {
      losses = [...new Set(powerLost(at, index).map((left) => this.host(left)))];
      this.#powerLost.set(host.id, losses);
    }
    const event: ControllerEvent = { kind: 'fenced', fence: row.value.fence, hostId: name };
    for (const lost of losses) {
      const dark: Successor[] = [];
      this.#dies(world, index, lost, () => `${name} loses power`, dark);
      for (const one of dark) {
        next.push(one);
        if (!at.cutOff && one.broken === null) this.#decide(one.world, event, () => `${one.label()}, and is fenced`, next, true);
      }
    }
    if (!at.cutOff) {
      const cut: World = { ...spent(world), hosts: this.#replaced(world, index, this.host({ ...at, cutOff: true })) };
      this.#decide(cut, event, () => `${name} is fenced by cutting it off`, next, true);
    }
  }

  #idOf(message: Message): number {
    const plain = this.#plainReports && message.to === 'controller' && message.message.kind === 'report';
    return this.messages.idOf(plain ? { ...message, message: canonicalReport(message.message as HostReport) } : message);
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
    for (const change of this.#ownSteps(dead, index)) this.#put(after, index, change, started);
    for (const one of started) next.push({ ...one, label: () => `${label()}; ${one.label()}`, fault: true });
  }

  /** What a host does without a message: its agent starts, looks at QEMU, starts one for a grant, is told to unpause. */
  #ownSteps(host: Interned<Host>, index: number): readonly HostChange[] {
    const known = this.#own.get(host.id);
    if (known !== undefined) return known;
    const at = host.value;
    const name = HOSTS[index];
    const steps: HostChange[] = [];
    if (at.machine === null) {
      const machine = at.journal.now;
      const pid = machine.copy.kind === 'none' ? 0 : (machine.copy.process?.pid ?? 0);
      const restarts = this.#quirks.startsAtBoot && machine.copy.kind === 'held' && !machine.copy.alive;
      const qemus: readonly Qemu[] = restarts ? [{ ...launched(pid, false), run: 'running' }] : at.qemus;
      const view = viewOf(qemus.find(({ epoch }) => epoch === pid) ?? (machine.copy.kind === 'none' ? qemus[0] : undefined));
      steps.push(...this.#turns({ ...at, machine, qemus }, index, { kind: 'adopt', view }, () => `agent of ${name} starts`));
    } else {
      const { machine } = at;
      const { copy } = machine;
      steps.push(...this.#turns(at, index, { kind: 'observed', view: currentView(at) }, () => `${name} looks at QEMU`));
      if (copy.kind === 'granted' && copy.process === null && (!this.#rules.takeBootProof || copy.grant.bootId === machine.bootId)) {
        const { epoch, source } = copy.grant;
        const prepared: Host = { ...at, qemus: [...at.qemus, launched(epoch, source !== null)] };
        const bind: HostEvent = { kind: 'bind', epoch, process: { pid: epoch, startTicks: 0 } };
        steps.push(...this.#turns(prepared, index, bind, () => `${name} starts QEMU for epoch ${epoch}`));
      }
      if (copy.kind !== 'none') {
        const stray: HostEvent = { kind: 'unpause', fence: machine.fence, epoch: copy.grant.epoch, view: currentView(at) };
        steps.push(...this.#turns(at, index, stray, () => `${name} is told to unpause epoch ${stray.epoch}`));
      }
    }
    this.#own.set(host.id, steps);
    return steps;
  }

  /** What the QEMUs do by themselves, and among each other. */
  #qemuSteps(hosts: readonly Interned<Host>[]): readonly QemuChange[] {
    const key = hosts.map(({ id }) => id).join(' ');
    const known = this.#qemus.get(key);
    if (known !== undefined) return known;
    const changes: QemuChange[] = [];
    hosts.forEach(({ value: at }, index) => {
      for (const qemu of at.qemus) this.#qemuStepsOf(hosts, at, index, qemu, changes);
    });
    this.#qemus.set(key, changes);
    return changes;
  }

  #qemuStepsOf(hosts: readonly Interned<Host>[], at: Host, index: number, qemu: Qemu, changes: QemuChange[]): void {
    const name = HOSTS[index];
    const put = (from: readonly Interned<Host>[], at0: number, epoch: number, change: Qemu | null): readonly Interned<Host>[] =>
      from.map((one, i) => {
        if (i !== at0) return one;
        const qemus = one.value.qemus.flatMap((other) => (other.epoch !== epoch ? [other] : change === null ? [] : [change]));
        return this.host({ ...one.value, qemus });
      });
    const add = (label: Label, changed: readonly Interned<Host>[], fault = false): void =>
      void changes.push({ hosts: changed, label, fault });
    if (qemu.peer !== null && leaving(qemu)) {
      const { peer } = qemu;
      const there = hosts[peer.host]?.value;
      const other = there?.qemus.find(({ epoch }) => epoch === peer.epoch);
      const linked = !at.cutOff && there?.cutOff === false;
      add(() => `QEMU on ${name} fails to migrate and resumes`, put(hosts, index, qemu.epoch, ended(qemu, 'failed')));
      if (qemu.out === 'active' && linked && other?.run === 'inmigrate' && other.inc === 'none') {
        const stopped = put(hosts, index, qemu.epoch, { ...qemu, out: 'device', run: 'finish-migrate' });
        add(() => `QEMU on ${name} stops for the switchover`, put(stopped, peer.host, other.epoch, { ...other, inc: 'active' }));
      }
      if (qemu.out === 'device' && linked && other?.inc === 'active')
        add(() => `QEMU on ${HOSTS[peer.host]} has loaded`, put(hosts, peer.host, other.epoch, loaded(other)));
      if (qemu.out === 'device') add(() => `QEMU on ${name} completes`, put(hosts, index, qemu.epoch, completed(qemu)));
    }
    if (qemu.run === 'inmigrate' && qemu.inc === 'active') {
      const fed = hosts.some(({ value }) =>
        value.qemus.some((source) => leaving(source) && source.peer?.host === index && source.peer.epoch === qemu.epoch),
      );
      if (!fed) add(() => `incoming QEMU on ${name} exits`, put(hosts, index, qemu.epoch, null));
    }
    add(() => `QEMU on ${name} dies`, put(hosts, index, qemu.epoch, null), true);
  }
}

const spent = (world: World): World => ({ ...world, faults: world.faults - 1, unharmed: false });

export const hostAt = (world: World, index: number): Host => {
  const host = world.hosts[index];
  if (host === undefined) throw new RangeError(`no host ${index}`);
  return host.value;
};

/** With these messages too; the same object when all were sent before. */
function added(net: readonly number[], sent: readonly number[]): readonly number[] {
  const fresh = sent.filter((id) => !net.includes(id));
  return fresh.length === 0 ? net : [...new Set([...net, ...fresh])].sort((a, b) => a - b);
}

/** The host on which the QEMU that is switching over has just completed, or null. */
function completedMeanwhile(host: Host): Host | null {
  if (!host.qemus.some(({ out }) => out === 'device')) return null;
  return { ...host, qemus: host.qemus.map((qemu) => (qemu.out === 'device' ? completed(qemu) : qemu)) };
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

function received(at: Host, message: Extract<Message, { to: 'host' }>): HostEvent {
  const view = currentView(at);
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
