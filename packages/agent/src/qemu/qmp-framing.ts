const newline = 0x0a;

/**
 * Cuts a byte stream into lines, whatever the chunk borders: a border may lie inside a UTF-8 sequence,
 * and a reply may span hundreds of chunks, so bytes are joined once per line and decoded only then.
 * Lines come without their CR LF; empty lines are skipped.
 */
export class QmpLines {
  #parts: Buffer[] = [];

  /** Adds a chunk; returns the lines that it completes, in order. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#parts.push(chunk.subarray(start, end));
      start = end + 1;
      const line = Buffer.concat(this.#parts).toString('utf8').trimEnd();
      this.#parts = [];
      if (line !== '') lines.push(line);
    }
    if (start < chunk.length) this.#parts.push(chunk.subarray(start));
    return lines;
  }
}
