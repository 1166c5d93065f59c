import type { RamProgress } from '../drivers/migration-report.ts';

/** A link that silently drops everything shows as `active` with no error in QEMU, for as long as TCP's own patience: many minutes. */
const silenceMs = 5_000;

/** Tells a stream that stands still from one that is slow. Pure; times are of one monotonic clock, ms. */
export class StreamWatch {
  #transferredBytes = -1;
  #movedAtMs: number;
  readonly #silenceMs: number;

  constructor(nowMs: number, limitMs = silenceMs) {
    this.#movedAtMs = nowMs;
    this.#silenceMs = limitMs;
  }

  /** One look; true when nothing has moved for too long. A stream that has no counters yet (connecting) counts as standing. */
  stalled(ram: Pick<RamProgress, 'transferredBytes'> | null, nowMs: number): boolean {
    const transferred = ram?.transferredBytes ?? -1;
    if (transferred !== this.#transferredBytes) {
      this.#transferredBytes = transferred;
      this.#movedAtMs = nowMs;
    }
    return nowMs - this.#movedAtMs >= this.#silenceMs;
  }
}
