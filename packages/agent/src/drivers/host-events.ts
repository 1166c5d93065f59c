import type { GuestReport } from './guest-report.ts';
import type { ReleaseNotice } from './host-driver.ts';
import type { MigrationReport } from './migration-report.ts';

export type HostEvent =
  | { readonly kind: 'guest'; readonly guest: GuestReport }
  | { readonly kind: 'migration'; readonly migration: MigrationReport }
  | { readonly kind: 'release'; readonly release: ReleaseNotice };

export type NumberedEvent = { readonly sequence: number; readonly atMs: number; readonly event: HostEvent };

/** How many events a watcher may be behind before it gets a full report instead. */
const kept = 1024;

/**
 * What happens on a host, numbered. Sequence numbers start at the agent's start time in microseconds, so that a restarted agent never continues in the
 * middle of what a watcher has already seen.
 */
export class HostEvents {
  #next: number;
  readonly #events: NumberedEvent[] = [];
  readonly #listeners = new Set<(event: NumberedEvent) => void>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number, first = Math.trunc(Date.now() * 1000)) {
    this.#nowMs = nowMs;
    this.#next = first;
  }

  /** The sequence of the newest event, or of what came before the first. */
  get newest(): number {
    return this.#next - 1;
  }

  emit(event: HostEvent): void {
    const numbered = { sequence: this.#next, atMs: this.#nowMs(), event };
    this.#next += 1;
    this.#events.push(numbered);
    if (this.#events.length > kept) this.#events.shift();
    for (const listener of [...this.#listeners]) listener(numbered);
  }

  /** Everything after `sequence`, or null when that is no longer (or was never) known here: the watcher needs a full report. */
  after(sequence: number): readonly NumberedEvent[] | null {
    const oldest = this.#events[0]?.sequence ?? this.#next;
    if (sequence < oldest - 1 || sequence > this.newest) return null;
    return this.#events.filter((event) => event.sequence > sequence);
  }

  /** Calls the listener with every event from now on, synchronously. Returns the unsubscriber. */
  on(listener: (event: NumberedEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
