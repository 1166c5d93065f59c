/** Under which name a statement is prepared, if at all: the same on every connection of a process. */
export type StatementNames = {
  /** Null: it is not used often enough, or there are too many already. */
  readonly of: (text: string) => string | null;
  /** Whether this error says that the result of a prepared statement has changed its type: then all are named anew. */
  readonly outdated: (error: unknown) => boolean;
};

/** A statement that came so often will come again; a rare one only fills the memory of every connection. */
const oftenAfter = 30;
/** Each costs some kilobytes on each connection. */
const mostNames = 160;
/** Texts are as many as the lists in them are long: so many are counted at a time. */
const mostCounted = 2_000;
const FEATURE_NOT_SUPPORTED = '0A000';

export function createStatementNames(often = oftenAfter): StatementNames {
  let generation = 0;
  let names = new Map<string, string>();
  let counts = new Map<string, number>();
  return {
    of: (text) => {
      const name = names.get(text);
      if (name !== undefined) return name;
      if (names.size >= mostNames) return null;
      const count = (counts.get(text) ?? 0) + 1;
      if (count < often) {
        if (counts.size >= mostCounted) counts = new Map();
        counts.set(text, count);
        return null;
      }
      counts.delete(text);
      const made = `g${generation}_${names.size}`;
      names.set(text, made);
      return made;
    },
    outdated: (error) => {
      const { code, message } = (error ?? {}) as { readonly code?: string; readonly message?: string };
      if (code !== FEATURE_NOT_SUPPORTED || !/cached plan must not change result type/.test(message ?? '')) return false;
      generation += 1;
      names = new Map();
      return true;
    },
  };
}
