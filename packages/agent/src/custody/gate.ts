/**
 * The only code that lets the vCPUs of a real guest run, starts or cancels its stream, or ends its QEMU. It decides nothing: each event goes through
 * domain/custody, and the effects are carried out in order, one server's events strictly one after the other.
 */

import { hostStep } from '@godwit/domain/custody/host';
import type { HostCustody } from '@godwit/domain/custody/host-custody';
import type { HostEffect, HostMessage, PeerMessage } from '@godwit/domain/custody/host-effect';
import type { HostEvent } from '@godwit/domain/custody/host-event';
import type { QemuProcess, QemuView } from '@godwit/domain/custody/qemu-view';
import type { BootId, Epoch, HostId, ServerId } from '@godwit/domain/ids';
import { faultPoint } from '../fault-point.ts';
import { CustodyRefused } from './custody-refused.ts';
import type { CustodyJournal } from './journal.ts';
import { killProcess, processAlive } from './kill-process.ts';
import type { QemuControl } from './qemu-control.ts';

/** A custody event as others can form it: the gate looks at QEMU itself, within the same turn. */
export type CustodyInput = HostEvent extends infer E ? (E extends HostEvent ? Omit<E, 'view'> : never) : never;

export type GateOptions = {
  readonly bootId: BootId;
  readonly journal: CustodyJournal;
  /** QMP's arguments of `migrate` for the move that this server is armed for. */
  readonly migrateArguments: (serverId: ServerId, epoch: Epoch) => Readonly<Record<string, unknown>>;
  /** The file that a suspended guest's memory is in. */
  readonly memory: {
    /** QMP's arguments of `migrate` into the file of this epoch. */
    readonly saveArguments: (serverId: ServerId, epoch: Epoch) => Readonly<Record<string, unknown>>;
    /** Resolves when the file is known to survive a power loss; rejects when that is not known. */
    readonly sync: (serverId: ServerId, epoch: Epoch) => Promise<void>;
  };
  /** Carries a message to another host; must not block, and repeats by itself. */
  readonly send: (serverId: ServerId, to: HostId, message: PeerMessage) => void;
  /** News that no `feed` returns: of adoptions, of timers, and of turns that failed half-way. */
  readonly news: (serverId: ServerId, message: HostMessage) => void;
  /** A QEMU of this server that nobody attached or bound (its agent died while starting it), if there is one. */
  readonly findStray?: (serverId: ServerId) => QemuProcess | undefined;
  readonly failed?: (serverId: ServerId, error: unknown) => void;
  /** How long QEMU may stand in pre-switchover, where neither side runs and QEMU itself waits for ever. */
  readonly preSwitchoverLimitMs?: number;
};

export type Gate = {
  /**
   * Carries out one event; returns what it told. Throws CustodyRefused when the rules say no: nothing has changed then. Any other error means that the turn
   * broke off half-way: custody is rebuilt from the journal and from what QEMU shows, at once and until that succeeds.
   */
  feed(serverId: ServerId, event: CustodyInput): Promise<readonly HostMessage[]>;
  /** The process that orders for this server go to from now on. */
  attach(serverId: ServerId, control: QemuControl): void;
  state(serverId: ServerId): HostCustody;
  servers(): readonly ServerId[];
  /** Drops timers and listeners; no QEMU is touched. */
  close(): void;
};

type Entry = {
  state: HostCustody;
  control: QemuControl | null;
  detach: () => void;
  /** False from the start of the agent, or a broken turn, until QEMU has been looked at. */
  adopted: boolean;
  /** The end of the last turn, whether it failed or not. */
  tail: Promise<unknown>;
  switchoverTimer: NodeJS.Timeout | null;
  retryMs: number;
};

const defaultPreSwitchoverLimitMs = 1_000;
const firstRetryMs = 20;
const longestRetryMs = 2_000;

export function openGate(options: GateOptions): Gate {
  return new CustodyGate(options);
}

class CustodyGate implements Gate {
  readonly #options: GateOptions;
  readonly #entries = new Map<ServerId, Entry>();
  #closed = false;

  constructor(options: GateOptions) {
    this.#options = options;
    for (const [serverId, state] of options.journal.recovered) this.#entries.set(serverId, newEntry(state, false));
  }

  feed(serverId: ServerId, event: CustodyInput): Promise<readonly HostMessage[]> {
    const entry = this.#entry(serverId);
    const turn = entry.tail.then(() => this.#fed(serverId, entry, event));
    entry.tail = turn.catch(() => undefined);
    return turn;
  }

  attach(serverId: ServerId, control: QemuControl): void {
    const entry = this.#entry(serverId);
    entry.detach();
    entry.control = control;
    entry.detach = control.onMigrationStatus((status) => this.#limitPreSwitchover(serverId, entry, status === 'pre-switchover'));
  }

  state(serverId: ServerId): HostCustody {
    return this.#entries.get(serverId)?.state ?? this.#options.journal.state(serverId);
  }

  servers(): readonly ServerId[] {
    return [...this.#entries.keys()];
  }

  close(): void {
    this.#closed = true;
    for (const entry of this.#entries.values()) {
      entry.detach();
      if (entry.switchoverTimer !== null) clearTimeout(entry.switchoverTimer);
    }
  }

  #entry(serverId: ServerId): Entry {
    const known = this.#entries.get(serverId);
    if (known !== undefined) return known;
    const entry = newEntry(this.#options.journal.state(serverId), true);
    this.#entries.set(serverId, entry);
    return entry;
  }

  async #fed(serverId: ServerId, entry: Entry, event: CustodyInput): Promise<readonly HostMessage[]> {
    if (!entry.adopted && event.kind !== 'adopt')
      await this.#adopt(serverId, entry).catch((error: unknown) => {
        // Killing needs no answer of a QEMU that hangs, and what was taken stands in the journal.
        if (needsView(event.kind)) throw error;
      });
    const told = await this.#turn(
      serverId,
      entry,
      needsView(event.kind) ? ({ ...event, view: await this.#look(serverId, entry) } as HostEvent) : (event as HostEvent),
    );
    for (const message of told) if (message.kind === 'refused') throw new CustodyRefused(message.refusal);
    return told;
  }

  async #adopt(serverId: ServerId, entry: Entry): Promise<void> {
    const told = await this.#turn(serverId, entry, { kind: 'adopt', view: await this.#look(serverId, entry) });
    for (const message of told) this.#options.news(serverId, message);
  }

  async #turn(serverId: ServerId, entry: Entry, event: HostEvent): Promise<readonly HostMessage[]> {
    const { state, effects } = hostStep(entry.state, event);
    const told: HostMessage[] = [];
    try {
      for (const effect of effects) {
        // Awaiting nothing costs a turn of the event loop's microtasks only, but this is the blackout.
        const done = this.#carryOut(serverId, entry, effect, told);
        if (done !== undefined) await done;
      }
    } catch (error) {
      entry.state = this.#options.journal.state(serverId);
      entry.adopted = false;
      for (const message of told) this.#options.news(serverId, message);
      this.#adoptLater(serverId, entry);
      throw error;
    }
    entry.state = state;
    if (event.kind === 'adopt') {
      entry.adopted = true;
      entry.retryMs = firstRetryMs;
      this.#limitPreSwitchover(serverId, entry, event.view?.migration === 'pre-switchover');
    }
    return told;
  }

  #carryOut(serverId: ServerId, entry: Entry, effect: HostEffect, told: HostMessage[]): Promise<unknown> | undefined {
    switch (effect.kind) {
      case 'journal': {
        const durable = this.#options.journal.append(serverId, effect.record, effect.durability);
        if (effect.record.kind === 'suspended') return durable?.then(() => faultPoint('suspend.recorded'));
        if (effect.record.kind === 'taking' && durable) return durable.then(() => faultPoint('resume.taking'));
        return durable ?? (effect.record.kind === 'taking' ? faultPoint('destination.taking') : undefined);
      }
      case 'tell':
        told.push(effect.message);
        return undefined;
      case 'send':
        this.#options.send(serverId, effect.to, effect.message);
        return undefined;
      case 'kill':
        return this.#kill(serverId, entry, effect.process);
      case 'quit':
        return this.#controlled(entry)
          .quit()
          .catch(() => this.#kill(serverId, entry, effect.process));
      case 'cont':
        return this.#controlled(entry).cont();
      case 'stop':
        return this.#controlled(entry).stop();
      case 'reset':
        return this.#controlled(entry).reset();
      case 'powerDown':
        return this.#controlled(entry).powerDown();
      case 'migrate':
        return this.#controlled(entry).migrate(this.#options.migrateArguments(serverId, effect.epoch));
      case 'saveMemory':
        return this.#controlled(entry).migrate(this.#options.memory.saveArguments(serverId, effect.epoch));
      case 'syncMemory':
        return this.#options.memory.sync(serverId, effect.epoch);
      case 'continueMigration':
        return this.#controlled(entry).continueMigration();
      case 'cancel':
        return this.#controlled(entry).cancel();
    }
  }

  /** The monitor of the process that the copy is bound to; never that of another. */
  #controlled({ control, state }: Entry): QemuControl {
    const bound = boundProcess(state);
    if (control === null || (bound !== null && !same(control.process, bound))) throw new Error("the guest's QEMU has no monitor attached");
    return control;
  }

  async #look(serverId: ServerId, { control, state }: Entry): Promise<QemuView | null> {
    const bound = boundProcess(state);
    // A copy of an earlier boot has no process, whatever has its pid now.
    if (state.copy.kind !== 'none' && state.copy.grant.bootId !== this.#options.bootId) return null;
    if (control !== null && (bound === null || same(control.process, bound))) return control.look();
    if (bound !== null && processAlive(bound))
      throw new Error(`QEMU of server ${serverId} (pid ${bound.pid}) is alive, and its monitor does not answer`);
    // A stray one shows nothing, but it is there: it gets killed.
    const stray = bound === null && state.copy.kind !== 'held' ? this.#options.findStray?.(serverId) : undefined;
    return stray === undefined ? null : { runstate: 'other', migration: 'none' };
  }

  async #kill(serverId: ServerId, { control, state }: Entry, process: QemuProcess | null): Promise<void> {
    if (process !== null) {
      // Start ticks mean nothing across boots.
      if (state.copy.kind !== 'none' && state.copy.grant.bootId !== this.#options.bootId) return;
      return killProcess(process);
    }
    if (control !== null) await killProcess(control.process);
    const stray = this.#options.findStray?.(serverId);
    if (stray !== undefined) await killProcess(stray);
  }

  #adoptLater(serverId: ServerId, entry: Entry): void {
    if (this.#closed) return;
    const waitMs = entry.retryMs;
    entry.retryMs = Math.min(waitMs * 2, longestRetryMs);
    setTimeout(() => {
      if (this.#closed || entry.adopted) return;
      const turn = entry.tail.then(() => (entry.adopted ? undefined : this.#adopt(serverId, entry)));
      entry.tail = turn.catch((error: unknown) => {
        this.#options.failed?.(serverId, error);
        // A look that fails has not begun a turn, so nobody has asked for another yet.
        if (!entry.adopted) this.#adoptLater(serverId, entry);
      });
    }, waitMs).unref();
  }

  #limitPreSwitchover(serverId: ServerId, entry: Entry, standsThere: boolean): void {
    if (entry.switchoverTimer !== null) clearTimeout(entry.switchoverTimer);
    entry.switchoverTimer = null;
    if (!standsThere || this.#closed) return;
    entry.switchoverTimer = setTimeout(() => {
      entry.switchoverTimer = null;
      this.feed(serverId, { kind: 'switchoverTimeout' }).then(
        (told) => {
          for (const message of told) this.#options.news(serverId, message);
        },
        (error: unknown) => this.#options.failed?.(serverId, error),
      );
    }, this.#options.preSwitchoverLimitMs ?? defaultPreSwitchoverLimitMs);
  }
}

const newEntry = (state: HostCustody, adopted: boolean): Entry => ({
  state,
  control: null,
  detach: () => undefined,
  adopted,
  tail: Promise.resolve(),
  switchoverTimer: null,
  retryMs: firstRetryMs,
});

const boundProcess = ({ copy }: HostCustody): QemuProcess | null => (copy.kind === 'none' ? null : copy.process);

const same = (a: QemuProcess, b: QemuProcess): boolean => a.pid === b.pid && a.startTicks === b.startTicks;

/** Events that are decided upon what QEMU shows. */
function needsView(kind: HostEvent['kind']): boolean {
  switch (kind) {
    case 'grant':
    case 'bind':
    case 'forfeit':
    case 'destroy':
    case 'census':
      return false;
    case 'launch':
    case 'arm':
    case 'migrate':
    case 'continue':
    case 'disarm':
    case 'resume':
    case 'pause':
    case 'unpause':
    case 'reset':
    case 'powerDown':
    case 'powerOff':
    case 'suspend':
    case 'suspendAbandoned':
    case 'release':
    case 'postCopyReady':
    case 'observed':
    case 'switchoverTimeout':
    case 'adopt':
      return true;
  }
}
