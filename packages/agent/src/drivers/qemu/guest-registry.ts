import type { Copy } from '@godwit/domain/custody/host-custody';
import { memoryOf } from '@godwit/domain/guest-memory';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import type { BootId, MigrationId, ServerId } from '@godwit/domain/ids';
import { type GuestFact, isSpent, standsStill } from '../../qemu/guest-fact.ts';
import type { GuestProcess } from '../../qemu/guest-process.ts';
import { deathOf, watchGuest } from '../../qemu/guest-watch.ts';
import type { GuestReport, GuestState } from '../guest-report.ts';
import type { HostEvents } from '../host-events.ts';
import type { CustodyPort } from './custody-port.ts';

/** A guest that has, or had, a process here. */
type Entry = {
  process: GuestProcess | null;
  spec: GuestSpec | null;
  /** The last thing QEMU told; null before the first. */
  fact: GuestFact | null;
  migrationId: MigrationId | null;
  /** False when QEMU did not say how many its guest has, since it was ordered to give it one. */
  knowsVcpus: boolean;
  stopWatching: () => void;
};

/** What QEMU tells of each guest, laid over what custody knows. */
export class GuestRegistry {
  readonly #entries = new Map<ServerId, Entry>();
  readonly #custody: CustodyPort;
  readonly #events: HostEvents;
  readonly #bootId: BootId;
  readonly #observed: (serverId: ServerId, fact: GuestFact) => void;

  /** `observed` is called with each fact, before it is told to anybody: custody and a move in progress look first. */
  constructor(custody: CustodyPort, events: HostEvents, bootId: BootId, observed: (serverId: ServerId, fact: GuestFact) => void) {
    this.#custody = custody;
    this.#events = events;
    this.#bootId = bootId;
    this.#observed = observed;
  }

  /** The living process of a guest; null when there is none. */
  process(serverId: ServerId): GuestProcess | null {
    return this.#entries.get(serverId)?.process ?? null;
  }

  /** How the guest runs, or ran, here. */
  spec(serverId: ServerId): GuestSpec | null {
    return this.#entries.get(serverId)?.spec ?? null;
  }

  /** The last fact QEMU told of a guest. */
  fact(serverId: ServerId): GuestFact | null {
    return this.#entries.get(serverId)?.fact ?? null;
  }

  /** What was seen of a guest of which QEMU tells nobody, as the state that it has arrived in. */
  saw(serverId: ServerId, fact: GuestFact): void {
    const entry = this.#entries.get(serverId);
    if (entry && entry.fact?.kind !== fact.kind) this.#note(serverId, entry, fact);
  }

  /** Takes a process in: custody's effects go to it, its facts are watched until it is dead. */
  add(serverId: ServerId, process: GuestProcess): void {
    this.#entries.get(serverId)?.stopWatching();
    const entry: Entry = { process, spec: process.spec, fact: null, migrationId: null, knowsVcpus: true, stopWatching: () => undefined };
    this.#entries.set(serverId, entry);
    this.#custody.attach(serverId, process);
    entry.stopWatching = watchGuest(process, (fact) => this.#note(serverId, entry, fact));
    void process.ended.then((end) => {
      entry.process = null;
      this.#note(serverId, entry, deathOf(end));
    });
  }

  /** The guest's devices have changed while it runs; its process goes on. */
  changed(serverId: ServerId, spec: GuestSpec): void {
    const entry = this.#entries.get(serverId);
    if (!entry?.process) return;
    entry.spec = spec;
    entry.process = { ...entry.process, spec };
  }

  /** Whether reports tell how many vCPUs the guest has. */
  knowsVcpus(serverId: ServerId, knows: boolean): void {
    const entry = this.#entries.get(serverId);
    if (entry) entry.knowsVcpus = knows;
  }

  /** Remembers a guest whose process was found dead. */
  addDead(serverId: ServerId, fact: GuestFact): void {
    this.#entries.set(serverId, { process: null, spec: null, fact, migrationId: null, knowsVcpus: true, stopWatching: () => undefined });
  }

  forget(serverId: ServerId): void {
    this.#entries.get(serverId)?.stopWatching();
    this.#entries.delete(serverId);
  }

  /** Names the move that a guest is in, for its reports; null: none. */
  setMigration(serverId: ServerId, migrationId: MigrationId | null): void {
    const entry = this.#entries.get(serverId);
    if (entry) entry.migrationId = migrationId;
  }

  /** Tells watchers how a guest stands now. */
  tell(serverId: ServerId): void {
    this.#events.emit({ kind: 'guest', guest: this.report(serverId) });
  }

  servers(): readonly ServerId[] {
    const held = this.#custody.servers().filter((serverId) => this.#custody.state(serverId).copy.kind !== 'none');
    return [...new Set([...held, ...this.#entries.keys()])];
  }

  report(serverId: ServerId): GuestReport {
    const entry = this.#entries.get(serverId);
    const custody = this.#custody.state(serverId);
    const { state, detail } = stateOf(custody.copy.kind, custody.copy.kind === 'held' && custody.copy.alive, entry?.fact ?? null);
    const spec = entry?.spec;
    return {
      serverId,
      epoch: custody.knownEpoch,
      custody,
      ...(custody.copy.kind === 'none' ? {} : { copyEpoch: custody.copy.grant.epoch }),
      state,
      detail,
      migrationId: entry?.migrationId ?? null,
      pid: entry?.process?.ref.pid ?? null,
      machineType: spec?.machineType ?? '',
      cpuModel: spec?.cpuModel ?? '',
      ...(spec ? { deviceLayout: spec.deviceLayout, guestAgent: spec.guestAgent === true } : {}),
      ...(entry?.process ? { qemuVersion: entry.process.qmp.qemuVersion, ramMib: memoryOf(entry.process.spec) } : {}),
      ...(entry?.process && entry.knowsVcpus ? { vcpus: entry.process.spec.vcpus } : {}),
      bootId: this.#bootId,
      diskBytesUsed: 0,
    };
  }

  /** Lets go of every monitor; no QEMU is touched, and nothing is reported any more. */
  async close(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) entry.stopWatching();
    await Promise.all(entries.flatMap(({ process }) => (process ? [process.qmp.close(), process.oob.close()] : [])));
  }

  #note(serverId: ServerId, entry: Entry, fact: GuestFact): void {
    if (this.#entries.get(serverId) !== entry) return;
    // After `ended` both the watcher and we report the death: one is enough.
    if (fact.kind === 'died' && entry.fact?.kind === 'died') return;
    // What ended the guest stays its end when its QEMU, of no use any more, is ended.
    if (fact.kind !== 'died' || !isSpent(entry.fact)) entry.fact = fact;
    this.#observed(serverId, fact);
    this.tell(serverId);
  }
}

/** Custody says whose the guest is, QEMU says what it does. */
export function stateOf(
  copy: Copy['kind'],
  alive: boolean,
  fact: GuestFact | null,
): { readonly state: GuestState; readonly detail: string } {
  if (copy === 'released') return { state: 'released', detail: '' };
  if (copy === 'suspended') return { state: 'suspended', detail: '' };
  if (copy === 'granted') return { state: 'incoming', detail: fact?.kind === 'died' ? fact.cause : '' };
  if (copy === 'none') return { state: 'shutoff', detail: '' };
  switch (fact?.kind) {
    case 'powered-off':
      return { state: 'shutoff', detail: fact.byGuest ? 'the guest powered itself off' : `the guest was powered off (${fact.reason})` };
    case 'panicked':
      return { state: 'crashed', detail: `the guest's kernel panicked (${fact.detail})` };
    case 'broken':
      return { state: 'crashed', detail: fact.detail };
    case 'io-error':
      return {
        state: 'io-error',
        detail: standsStill(fact),
      };
    case 'died':
      return { state: 'crashed', detail: fact.cause };
    case 'paused':
    case 'migrated':
    case 'incoming':
    case 'prelaunch':
      return { state: 'paused', detail: '' };
    case 'running':
    case 'reset':
      return { state: 'running', detail: '' };
    case undefined:
      // Held, and nothing seen: its process did not outlive the agent or the boot.
      return alive ? { state: 'running', detail: '' } : { state: 'shutoff', detail: 'the host restarted, or the process is gone' };
  }
}
