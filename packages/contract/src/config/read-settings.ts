import { isMap, LineCounter, parseDocument } from 'yaml';

/** A configuration file as it was read: what it says, and where it says it. */
export type Settings = {
  readonly value: unknown;
  /** The line of a key (`listen.port`), or of the nearest one around it; null where the file names none of it. */
  readonly lineOf: (key: string) => number | null;
};

/** Thrown by `readSettings`: `FILE:LINE: what is wrong`. */
export class UnreadableSettings extends Error {}

/**
 * Reads the text of a configuration file: YAML 1.2 with comments, of which JSON is a part. `file` is only for the message. Throws `UnreadableSettings` with the line when it is
 * not YAML, or says one key twice.
 */
export function readSettings(text: string, file: string): Settings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) throw new UnreadableSettings(`${file}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  const lineOf = (key: string): number | null => {
    let node: unknown = document.contents;
    let line: number | null = null;
    for (const part of key.split('.')) {
      if (!isMap(node)) break;
      const pair = node.items.find((item) => String(item.key) === part);
      if (pair === undefined) break;
      const range = (pair.key as { readonly range?: readonly [number, number, number] | null }).range;
      if (range !== undefined && range !== null) line = lines.linePos(range[0]).line;
      node = pair.value;
    }
    return line;
  };
  return { value: document.toJS(), lineOf };
}
