/** One state of everything: the row, the hosts with their journals and QEMUs, and every message ever sent. Plain data, never changed in place. */
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '../../ids.ts';
import { controllerStep } from '../controller.ts';
import type { ControllerCommand } from '../controller-event.ts';
import type { CustodyRow, Holder } from '../custody-row.ts';
import type { Grant } from '../grant.ts';
import { hostStep } from '../host.ts';
import type { HostCustody } from '../host-custody.ts';
import type { HostMessage, PeerMessage } from '../host-effect.ts';
import type { JournalRecord } from '../journal-record.ts';
import { recover } from '../recover.ts';
import type { Rules } from '../rules.ts';
import type { Interned, Interner } from './interner.ts';
import { type Journal, written } from './modelled-journal.ts';
import { completed, type Qemu, viewOf } from './qemu-model.ts';

export const SERVER = as<ServerId>('S');
export const HOSTS: readonly HostId[] = ['A', 'B', 'C'].map((name) => as<HostId>(name));
export const bootOf = (host: number, boot: number): BootId => as<BootId>(`${HOSTS[host]}${boot}`);
export const migrationOf = (epoch: number): MigrationId => as<MigrationId>(`m${epoch}`);
export const indexOf = (host: HostId): number => HOSTS.indexOf(host);

/**
 * The network is the set of everything ever sent. Each message may be delivered at any later time, any number of times, or never: that is loss,
 * duplication, delay and reordering at once, without a limit.
 */
export type Message =
  | { readonly to: 'host'; readonly host: number; readonly command: ControllerCommand }
  | { readonly to: 'host'; readonly host: number; readonly peer: PeerMessage }
  | { readonly to: 'controller'; readonly from: number; readonly message: HostMessage };

export type Host = {
  readonly boot: number;
  /** Null while the agent is dead. */
  readonly machine: HostCustody | null;
  readonly journal: Journal;
  readonly qemus: readonly Qemu[];
  /** Files that QEMUs have saved their memory to. Nothing ever removes one: nothing may rest on that it is gone. */
  readonly memories: readonly { readonly epoch: number; readonly durable: boolean }[];
  /** Fenced without power-off: it executes, and reaches neither disks nor network. */
  readonly cutOff: boolean;
  /** The boot in which an operator's word that it is fenced found it; null: none stands. It may answer again meanwhile. */
  readonly fenced: number | null;
  /** What it has promised in answers so far, for the invariants: highest epoch granted, highest forfeited, highest fence obeyed in this boot; and the
   * highest epoch under which it has let a loaded memory run. */
  readonly promised: { readonly granted: number; readonly forfeited: number; readonly fence: number; readonly resumed: number };
};

export type World = {
  readonly row: Interned<CustodyRow>;
  /** The row as a backup has it; null when this run has no time travel. */
  readonly backup: Interned<CustodyRow> | null;
  /** The row that a frozen executor has read; only kept when nothing stops it from writing. */
  readonly frozen: Interned<CustodyRow> | null;
  readonly hosts: readonly Interned<Host>[];
  /** Sorted ids of messages. */
  readonly net: readonly number[];
  readonly faults: number;
  /** No fault has happened yet, and the server was not stopped to begin with. */
  readonly unharmed: boolean;
  readonly moves: number;
  readonly starts: number;
  readonly suspends: number;
  /** Highest epoch under which vCPUs have run on a host that was not cut off. */
  readonly ran: number;
  readonly highestGranted: number;
  /** Of disks that each host has for itself, as sets of hosts (bits): where the guest has run since they were last copied there, and where they are noted as leftovers. Null: they are shared. */
  readonly disks: Disks | null;
};

export type Disks = { readonly ran: number; readonly left: number };

/** The memory of this QEMU is in its file, whole; whether it would outlive the power nobody knows yet. */
export function saved(host: Host, qemu: Qemu): Host {
  const { epoch } = qemu;
  const memories = [...host.memories.filter((one) => one.epoch !== epoch), { epoch, durable: false }];
  return { ...host, memories, qemus: host.qemus.map((one) => (one === qemu ? completed(qemu) : one)) };
}

/** The server runs on A under epoch 1 and came there by a migration; or it is suspended there (and given up, which A has not heard); or it is stopped, and has never been anywhere. */
export function firstWorld(
  parts: { readonly hosts: Interner<Host>; readonly rows: Interner<CustodyRow> },
  options: {
    readonly hosts: number;
    readonly faults: number;
    readonly moves: number;
    readonly starts: number;
    readonly suspends?: number;
    readonly timeTravel: boolean;
    readonly stopped: boolean;
    readonly memory?: 'kept' | 'left';
    readonly localDisks?: boolean;
    readonly rules: Rules;
  },
): World {
  const grant: Grant = {
    serverId: SERVER,
    migrationId: null,
    source: null,
    destination: as<HostId>('A'),
    epoch: asEpoch(1),
    previousEpoch: asEpoch(0),
    fence: asFence(1),
    endState: 'running',
    bootId: bootOf(0, 0),
    postCopy: false,
  };
  const qemu: Qemu = { epoch: 1, run: 'running', out: 'none', inc: 'completed', autostart: false, peer: null };
  const process = { pid: 1, startTicks: 0 };
  const suspended: readonly JournalRecord[] = [
    { kind: 'suspending', epoch: grant.epoch },
    { kind: 'suspended', epoch: grant.epoch },
  ];
  const { memory } = options;
  const journal: readonly JournalRecord[] = [
    { kind: 'grant', grant },
    { kind: 'bound', epoch: grant.epoch, process },
    { kind: 'taking', epoch: grant.epoch, bootId: grant.bootId, process },
    { kind: 'taken', epoch: grant.epoch },
    ...(memory === undefined ? [] : suspended),
  ];
  const onA = { hostId: as<HostId>('A'), epoch: asEpoch(1) };
  const running: Holder = memory === undefined ? { kind: 'host', ...onA, bootId: bootOf(0, 0) } : { kind: 'suspended', ...onA };
  const row: CustodyRow = {
    serverId: SERVER,
    epoch: asEpoch(1),
    fence: asFence(1),
    holder: options.stopped ? { kind: 'nowhere' } : running,
    operation: null,
    remains: [],
    behind: false,
  };
  const host = (index: number): Host => {
    const holds = index === 0 && !options.stopped;
    const records = holds ? journal : [];
    const recovered = recover(records, SERVER, HOSTS[index] ?? as<HostId>('?'), bootOf(index, 0));
    const qemus = holds && memory === undefined ? [qemu] : [];
    return {
      boot: 0,
      machine: hostStep(recovered, { kind: 'adopt', view: viewOf(qemus[0]) }, options.rules).state,
      journal: written(recovered),
      qemus,
      memories: holds && memory !== undefined ? [{ epoch: 1, durable: true }] : [],
      cutOff: index === 0 && memory === 'left',
      fenced: index === 0 && memory === 'left' ? 0 : null,
      promised: { granted: holds ? 1 : 0, forfeited: 0, fence: 0, resumed: 0 },
    };
  };
  const lost = (['destroy', 'fenced'] as const).reduce(
    (at, kind) => controllerStep(at, kind === 'destroy' ? { kind, fence: at.fence } : { kind, fence: at.fence, hostId: onA.hostId }).row,
    row,
  );
  const first = parts.rows.of(memory === 'left' ? lost : row);
  return {
    row: first,
    backup: options.timeTravel ? parts.rows.of(row) : null,
    frozen: null,
    hosts: Array.from({ length: options.hosts }, (_, index) => parts.hosts.of(host(index))),
    net: [],
    faults: options.faults,
    unharmed: !options.stopped && memory !== 'left',
    moves: options.moves,
    starts: options.starts,
    suspends: options.suspends ?? 0,
    ran: 1,
    highestGranted: 1,
    disks: options.localDisks === true ? { ran: options.stopped ? 0 : 1, left: 0 } : null,
  };
}
