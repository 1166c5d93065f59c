import type { Grant } from '@godwit/domain/custody/grant';
import type { MigrationId } from '@godwit/domain/ids';
import type { MigrationCause } from '@godwit/domain/migration';
import type { HostEvents } from '../drivers/host-events.ts';
import type { DestinationState, MigrationReport, SourceState } from '../drivers/migration-report.ts';

const terminal: readonly string[] = [
  'released',
  'cancelled',
  'failed',
  'guest-gone',
  'lost',
  'running',
  'forfeited',
  'died',
] satisfies readonly (SourceState | DestinationState)[];

/** Whether nothing further happens on that side by itself. */
export const isTerminal = (state: SourceState | DestinationState): boolean => terminal.includes(state);

/** How often progress alone is worth an event. */
const progressEveryMs = 250;

/**
 * One side's account of a move while it grows. Every change of state is told at once; progress is thinned. A terminal state is final: what is noted afterwards changes
 * the account's details, never its state.
 */
export class MigrationRecord {
  readonly grant: Grant & { readonly migrationId: MigrationId };
  #report: MigrationReport;
  #toldAtMs = 0;
  /** Set: what there is to tell waits, all but an end. */
  #hush: NodeJS.Timeout | null = null;
  #hushed: 'steps' | 'everything' = 'steps';
  #untold = false;
  readonly #events: HostEvents;
  readonly #nowMs: () => number;

  /** Goes on with the account that an earlier agent kept. */
  static restored(
    report: MigrationReport,
    grant: Grant & { readonly migrationId: MigrationId },
    events: HostEvents,
    nowMs: () => number,
  ): MigrationRecord {
    const record = new MigrationRecord(grant, report.role, report.state, events, nowMs);
    record.#report = report;
    record.mark('agent restarted');
    return record;
  }

  constructor(
    grant: Grant & { readonly migrationId: MigrationId },
    role: MigrationReport['role'],
    state: SourceState | DestinationState,
    events: HostEvents,
    nowMs: () => number,
  ) {
    this.grant = grant;
    this.#events = events;
    this.#nowMs = nowMs;
    this.#report = {
      migrationId: grant.migrationId,
      serverId: grant.serverId,
      role,
      epoch: grant.epoch,
      state,
      qemuStatus: 'none',
      ram: null,
      disks: [],
      timeline: [],
      cause: null,
      detail: '',
      guestState: role === 'source' ? 'running' : 'incoming',
      stoppedAtMs: null,
      completedAtMs: null,
      resumedAtMs: null,
      clockOffsetMs: null,
      clockErrorMs: null,
      qemuDowntimeMs: null,
      qemuTotalMs: null,
      networkVerified: false,
      linkBytesPerSecond: null,
      taken: null,
    };
    this.mark(state);
  }

  get report(): MigrationReport {
    return this.#report;
  }

  get ended(): boolean {
    return isTerminal(this.#report.state);
  }

  /** Adds to the timeline; `atMs` defaults to now. Told with the next change. */
  mark(what: string, detail = '', atMs = this.#nowMs()): void {
    this.#report = { ...this.#report, timeline: [...this.#report.timeline, { atMs, what, detail }] };
  }

  /** Facts that are no change of state. */
  note(facts: Partial<Omit<MigrationReport, 'state' | 'cause' | 'timeline'>>): void {
    this.#report = { ...this.#report, ...facts };
    if (this.#nowMs() - this.#toldAtMs >= progressEveryMs) this.tell();
  }

  /** A new state, with the facts that came with it; told at once. Ignored when the record has ended. */
  become(state: SourceState | DestinationState, facts: Partial<Omit<MigrationReport, 'state' | 'timeline'>> = {}): void {
    if (this.ended) return;
    this.#report = { ...this.#report, ...facts, state };
    this.mark(state, facts.detail ?? '');
    this.tell();
  }

  /** Says why a move that has formally succeeded is no success: the guest was dead on arrival. */
  blame(
    cause: MigrationCause,
    detail: string,
    facts: Partial<Omit<MigrationReport, 'state' | 'cause' | 'detail' | 'timeline'>> = {},
  ): void {
    this.#report = { ...this.#report, ...facts, cause, detail };
    this.mark('blamed', detail);
    this.tell();
  }

  /** An end without success. */
  fail(
    state: SourceState | DestinationState,
    cause: MigrationCause,
    detail: string,
    facts: Partial<Omit<MigrationReport, 'state' | 'cause' | 'detail' | 'timeline'>> = {},
  ): void {
    this.become(state, { ...facts, cause, detail });
  }

  /**
   * For at most `mostMs`, or until `speak`, only an end is told, or nothing at all: whoever hears of a step has work to do with it, and while a guest stands still between two hosts, that work
   * would stand in its way.
   */
  hush(mostMs: number, what: 'steps' | 'everything' = 'steps'): void {
    this.#hushed = what;
    if (this.#hush !== null) clearTimeout(this.#hush);
    this.#hush = setTimeout(() => this.speak(), mostMs);
  }

  /** Tells what has waited. */
  speak(): void {
    if (this.#hush !== null) clearTimeout(this.#hush);
    this.#hush = null;
    if (this.#untold) this.tell();
  }

  tell(): void {
    this.#untold = this.#hush !== null && (this.#hushed === 'everything' || !this.ended);
    if (this.#untold) return;
    this.#toldAtMs = this.#nowMs();
    this.#events.emit({ kind: 'migration', migration: this.#report });
  }
}
