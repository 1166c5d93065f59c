/** Where one asks before it takes a connection, and says that it has given it back. */
export type Lane = {
  /** Resolves when one may be taken; each is followed by one `leave`. */
  readonly enter: () => Promise<void>;
  readonly leave: () => void;
};

/**
 * Two lanes, for what somebody waits for with a request open and for what nobody waits for. The first is never held up. The second gives way: beyond `least` of it, no more is let in than makes
 * `together` with all that is in the first. So a request is not queued behind every server that is being made, and those are never stopped. Whoever has waited longest goes first.
 */
export function createPrecedence({ together, least }: { readonly together: number; readonly least: number }): {
  readonly requests: Lane;
  readonly background: Lane;
} {
  let ahead = 0;
  let behind = 0;
  const waiting: (() => void)[] = [];
  const admit = (): void => {
    while (waiting.length > 0 && (behind < least || ahead + behind < together)) {
      behind += 1;
      waiting.shift()?.();
    }
  };
  return {
    requests: {
      enter: () => {
        ahead += 1;
        return Promise.resolve();
      },
      leave: () => {
        ahead -= 1;
        admit();
      },
    },
    background: {
      enter: () =>
        new Promise((resolve) => {
          waiting.push(resolve);
          admit();
        }),
      leave: () => {
        behind -= 1;
        admit();
      },
    },
  };
}
