/** The longest time between two signs of life. Pure: times are given, in ms on any one clock. */
export class SilenceMeter {
  #lastMs: number | undefined;
  #longestMs = 0;
  #longestEndedAtMs = 0;
  #signs = 0;

  /** True when this sign ended the longest silence so far. */
  sign(atMs: number): boolean {
    const longest = this.#lastMs !== undefined && this.#consider(atMs);
    this.#lastMs = atMs;
    this.#signs += 1;
    return longest;
  }

  /** The longest silence until now: one that still goes on counts with what it has reached. */
  read(nowMs: number): { readonly longestMs: number; readonly endedAtMs: number; readonly signs: number } {
    const openMs = this.#lastMs === undefined ? 0 : nowMs - this.#lastMs;
    return openMs > this.#longestMs
      ? { longestMs: openMs, endedAtMs: nowMs, signs: this.#signs }
      : { longestMs: this.#longestMs, endedAtMs: this.#longestEndedAtMs, signs: this.#signs };
  }

  /** Begins a new window; the last sign of life is remembered, so a silence across the border is counted in full. */
  reset(): void {
    this.#longestMs = 0;
    this.#signs = 0;
  }

  #consider(atMs: number): boolean {
    const silenceMs = atMs - (this.#lastMs ?? atMs);
    if (silenceMs <= this.#longestMs) return false;
    this.#longestMs = silenceMs;
    this.#longestEndedAtMs = atMs;
    return true;
  }
}
