/** A reading of the peer's clock every second is an answer; its timeout is two seconds. An agent that was killed is back within that. */
const holdAfterMs = 3_000;
/** Nothing is undone that soon for a busy peer: until then the copy goes on, and only the stop waits. */
const goneAfterMs = 15_000;

/**
 * Tells a peer that is gone from one that is slow. A stop while nobody hears the release would keep the guest from running on either side. Pure; times are of one monotonic clock, ms.
 */
export class PeerWatch {
  #heardAtMs: number;

  constructor(nowMs: number) {
    this.#heardAtMs = nowMs;
  }

  heard(nowMs: number): void {
    this.#heardAtMs = nowMs;
  }

  /** `silent`: the stop has to wait for it. `gone`: the move has to be given up. */
  state(nowMs: number): 'here' | 'silent' | 'gone' {
    const silentMs = nowMs - this.#heardAtMs;
    return silentMs >= goneAfterMs ? 'gone' : silentMs >= holdAfterMs ? 'silent' : 'here';
  }
}
