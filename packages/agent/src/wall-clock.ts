/**
 * UTC in milliseconds with a fraction, on the same clock that QEMU stamps its events with. Date.now() has whole milliseconds only, and performance.timeOrigin drifts away from the
 * wall clock while NTP slews it: so the monotonic clock is laid over the wall clock anew from time to time.
 */
export class WallClock {
  readonly #skewMs: number;
  #baseMs = 0;

  /** `skewMs` is added to everything this clock says (tests of the blackout's clock correction). */
  constructor(skewMs = 0) {
    this.#skewMs = skewMs;
    this.anchor();
  }

  /** Finds the instant at which Date.now() ticks: busy for up to a millisecond, right to a few microseconds after. */
  anchor(): void {
    const first = Date.now();
    let now = first;
    let monotonic = performance.now();
    while (now === first) {
      now = Date.now();
      monotonic = performance.now();
    }
    this.#baseMs = now - monotonic;
  }

  nowMs(): number {
    return performance.now() + this.#baseMs + this.#skewMs;
  }

  /** A stamp of QEMU's, as this clock would have told it. */
  ofStamp(stampMs: number): number {
    return stampMs + this.#skewMs;
  }
}
