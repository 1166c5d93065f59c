const mostTicks = 5;
const tightMs = 0.02;

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

  /**
   * Finds the instant at which Date.now() ticks: busy for a millisecond or two. On a loaded machine this process may lose the processor at just that instant, so the
   * tick is known only to within two readings; the tightest of a few is used, right to some ten microseconds.
   */
  anchor(): void {
    let best = Number.POSITIVE_INFINITY;
    let tick = Date.now();
    let before = performance.now();
    for (let ticks = 0; ticks < mostTicks; ) {
      const now = Date.now();
      const after = performance.now();
      if (now !== tick) {
        ticks += 1;
        if (after - before < best) {
          best = after - before;
          this.#baseMs = now - (before + after) / 2;
        }
        if (best < tightMs) return;
        tick = now;
      }
      before = after;
    }
  }

  nowMs(): number {
    return performance.now() + this.#baseMs + this.#skewMs;
  }

  /** A stamp of QEMU's, as this clock would have told it. */
  ofStamp(stampMs: number): number {
    return stampMs + this.#skewMs;
  }
}
