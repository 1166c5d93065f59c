import { hostReport } from '../holder.ts';
import type { HostReport } from '../host-effect.ts';
import type { HostEvent } from '../host-event.ts';
import type { Rules } from '../rules.ts';
import { canonicalHost, canonicalReport } from './canonical.ts';
import { currentView, type HostOutcome, hostTurn, powerLost } from './host-turn.ts';
import { type Interned, Interner } from './interner.ts';
import { textOf } from './labels.ts';
import { completed, launched, type Qemu, viewOf } from './qemu-model.ts';
import { HOSTS, type Host, type Message, saved } from './world.ts';

export type Quirks = {
  /** The agent starts what it held before a reboot, by itself (rule 0 broken). */
  readonly startsAtBoot: boolean;
};

type Label = () => string;
/** What one host does by itself or upon a message. */
export type HostChange = Omit<HostOutcome, 'host'> & { readonly host: Interned<Host>; readonly label: Label };

export type HostChangesOptions = {
  readonly rules: Rules;
  readonly quirks: Quirks;
  readonly messages: Interner<Message>;
  /** Take hosts that nothing can tell apart for one. */
  readonly reduce: boolean;
  /** The database may travel back: then reports are read to their last word, and less can be forgotten. */
  readonly restores: boolean;
};

/** What single hosts can do, each worked out once. */
export class HostChanges {
  readonly all = new Interner<Host>();
  readonly #options: HostChangesOptions;
  readonly #received = new Map<number, readonly HostChange[]>();
  readonly #own = new Map<number, readonly HostChange[]>();
  readonly #powerLost = new Map<number, readonly Interned<Host>[]>();
  readonly #reports = new Map<number, number>();

  constructor(options: HostChangesOptions) {
    this.#options = options;
  }

  /** The host's one object. */
  of(host: Host): Interned<Host> {
    return this.all.of(this.#options.reduce ? canonicalHost(host, this.#options.restores) : host);
  }

  /** What comes of this message here; nothing while the agent is dead. */
  received(host: Interned<Host>, index: number, id: number, message: Extract<Message, { to: 'host' }>): readonly HostChange[] {
    if (host.value.machine === null) return [];
    const key = host.id * 2 ** 24 + id;
    let changes = this.#received.get(key);
    if (changes === undefined) {
      changes = [...this.#turns(host.value, index, received(host.value, message), () => `${HOSTS[index]} receives ${textOf(message)}`)];
      this.#received.set(key, changes);
    }
    return changes;
  }

  /** The message with which it tells everything that it knows; null while the agent is dead. */
  report({ id, value }: Interned<Host>, index: number): number | null {
    if (value.machine === null) return null;
    const known = this.#reports.get(id);
    if (known !== undefined) return known;
    const report = this.#idOf({ to: 'controller', from: index, message: hostReport(value.machine, null) });
    this.#reports.set(id, report);
    return report;
  }

  /** Everything that a power loss can leave of it. */
  afterPowerLoss(host: Interned<Host>, index: number): readonly Interned<Host>[] {
    const known = this.#powerLost.get(host.id);
    if (known !== undefined) return known;
    const losses = [...new Set(powerLost(host.value, index).map((left) => this.of(left)))];
    this.#powerLost.set(host.id, losses);
    return losses;
  }

  /** What a host does without a message: its agent starts, looks at QEMU, starts one for a grant, is told to unpause. */
  own(host: Interned<Host>, index: number): readonly HostChange[] {
    const known = this.#own.get(host.id);
    if (known !== undefined) return known;
    const at = host.value;
    const name = HOSTS[index];
    const steps: HostChange[] = [];
    if (at.machine === null) {
      const machine = at.journal.now;
      const pid = machine.copy.kind === 'none' ? 0 : (machine.copy.process?.pid ?? 0);
      const restarts = this.#options.quirks.startsAtBoot && machine.copy.kind === 'held' && !machine.copy.alive;
      const qemus: readonly Qemu[] = restarts ? [{ ...launched(pid, false), run: 'running' }] : at.qemus;
      const view = viewOf(qemus.find(({ epoch }) => epoch === pid) ?? (machine.copy.kind === 'none' ? qemus[0] : undefined));
      steps.push(...this.#turns({ ...at, machine, qemus }, index, { kind: 'adopt', view }, () => `agent of ${name} starts`));
    } else {
      const { machine } = at;
      const { copy } = machine;
      steps.push(...this.#turns(at, index, { kind: 'observed', view: currentView(at) }, () => `${name} looks at QEMU`));
      if (
        copy.kind === 'granted' &&
        copy.process === null &&
        (!this.#options.rules.takeBootProof || copy.grant.bootId === machine.bootId)
      ) {
        const { epoch, source, memory } = copy.grant;
        const prepared: Host = { ...at, qemus: [...at.qemus, launched(epoch, source !== null, memory)] };
        const bind: HostEvent = { kind: 'bind', epoch, process: { pid: epoch, startTicks: 0 } };
        steps.push(...this.#turns(prepared, index, bind, () => `${name} starts QEMU for epoch ${epoch}`));
      }
      if (copy.kind === 'held' && copy.suspending === true) {
        const { epoch } = copy.grant;
        const given: HostEvent = { kind: 'suspendAbandoned', epoch, view: currentView(at) };
        steps.push(...this.#turns(at, index, given, () => `${name} gives up saving the memory of epoch ${epoch}`));
      }
      if (copy.kind !== 'none') {
        const stray: HostEvent = { kind: 'unpause', fence: machine.fence, epoch: copy.grant.epoch, view: currentView(at) };
        steps.push(...this.#turns(at, index, stray, () => `${name} is told to unpause epoch ${stray.epoch}`));
      }
    }
    this.#own.set(host.id, steps);
    return steps;
  }

  /** The turn, and the one in which QEMU, which does not wait, completes between the look and what is done upon it. */
  *#turns(host: Host, index: number, event: HostEvent, label: Label): Generator<HostChange> {
    yield* this.#turn(host, index, event, label);
    const raced = 'view' in event && event.view?.migration === 'device' ? completedMeanwhile(host) : null;
    if (raced !== null) yield* this.#turn(raced, index, event, () => `${label()} (QEMU completes meanwhile)`);
  }

  *#turn(host: Host, index: number, event: HostEvent, label: Label): Generator<HostChange> {
    for (const outcome of hostTurn(host, index, event, this.#options.rules, (message) => this.#idOf(message))) {
      const { fault } = outcome;
      yield { ...outcome, host: this.of(outcome.host), label: fault === null ? label : () => `${label()}, ${fault}` };
    }
  }

  #idOf(message: Message): number {
    const plain = this.#options.reduce && !this.#options.restores && message.to === 'controller' && message.message.kind === 'report';
    return this.#options.messages.idOf(plain ? { ...message, message: canonicalReport(message.message as HostReport) } : message);
  }
}

/** The host on which the QEMU that is switching over has just completed, or null. */
function completedMeanwhile(host: Host): Host | null {
  if (!host.qemus.some(({ out }) => out === 'device')) return null;
  const memory = host.qemus.find((qemu) => qemu.out === 'device' && qemu.saving === true);
  const after = memory === undefined ? host : saved(host, memory);
  return { ...after, qemus: after.qemus.map((qemu) => (qemu.out === 'device' ? completed(qemu) : qemu)) };
}

function received(at: Host, message: Extract<Message, { to: 'host' }>): HostEvent {
  const view = currentView(at);
  if ('command' in message) return { ...message.command, view } as HostEvent;
  if (message.peer.kind === 'release') return { kind: 'release', release: message.peer.release, view };
  return { kind: 'postCopyReady', epoch: message.peer.epoch, view };
}
