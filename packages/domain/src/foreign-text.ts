/** Characters of foreignText: enough for a sentence, too little to fill a record or a screen with. */
export const longestForeignText = 200;

/**
 * What somebody says whom we need not believe (the agent inside a guest), fit for a record, a log and a terminal: at most `most` characters, no control characters (C0, DEL, C1), none that turns the
 * direction of writing, no half of a pair. What is no text is told as JSON. Idempotent.
 */
export function foreignText(said: unknown, most: number = longestForeignText): string {
  const whole = typeof said === 'string' ? said : (JSON.stringify(said ?? null) ?? '');
  // Cut first, and generously: what is thrown away is not worth looking at.
  const characters = [
    ...whole
      .slice(0, most * 4)
      .toWellFormed()
      .replaceAll(unprintable, ' ')
      .replaceAll(/ {2,}/g, ' ')
      .trim(),
  ];
  return characters.length <= most
    ? characters.join('')
    : `${characters
        .slice(0, most - 1)
        .join('')
        .trimEnd()}…`;
}

/** Controls, marks of direction, and the separators of lines that are none of a terminal's. */
const unprintable = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
