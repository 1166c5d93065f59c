/** How long somebody has been looking without a break. Who was not looked at has not been silent: after a break the count begins anew. */
export type Attention = {
  /** Looks, at `nowMs` of any clock that only goes forward. Resolves to the milliseconds since the first look after the last break. */
  readonly look: (nowMs: number) => number;
  /** Somebody else looks from here on. */
  readonly lose: () => void;
};

/** `breakMs`: two looks further apart than this have a break between them. */
export function createAttention(breakMs: number): Attention {
  let [since, last] = [0, Number.NEGATIVE_INFINITY];
  return {
    look: (nowMs) => {
      if (nowMs - last > breakMs) since = nowMs;
      last = nowMs;
      return nowMs - since;
    },
    lose: () => {
      last = Number.NEGATIVE_INFINITY;
    },
  };
}
