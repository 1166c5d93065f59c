import { type Cell, humanOf, machineOf, printable } from './cell.ts';

export interface TableWidth {
  /** Characters a line may take; null: as many as it needs. */
  readonly max: number | null;
  /** No column is squeezed below this many characters. */
  readonly least: number;
}

/** A table as the `openstack` command draws it: a title line, one cell per column, numbers to the right; cells of several lines take several. */
export function renderTable(columns: readonly string[], rows: readonly (readonly Cell[])[], width: TableWidth): string {
  const cells = rows.map((row) => row.map((cell) => printable(humanOf(cell).replaceAll('\r\n', '\n').replaceAll('\r', ' '))));
  const right = columns.map((_, index) => typeof machineOf(rows[0]?.[index] ?? null) === 'number');
  const widths = fitted(columns, naturalWidths(columns, cells), width);
  const rule = `+${widths.map((each) => '-'.repeat(each + 2)).join('+')}+`;
  const aligned = (text: string, index: number): string => padded(text, widths[index] ?? 0, right[index] === true ? 'left' : 'right');
  const lines = [rule, line(columns.map((title, index) => aligned(folded(title, widths[index] ?? 0)[0] ?? '', index))), rule];
  for (const row of cells) {
    const parts = row.map((text, index) => text.split('\n').flatMap((each) => folded(each, widths[index] ?? 0)));
    const height = Math.max(...parts.map((each) => each.length));
    for (let at = 0; at < height; at += 1) lines.push(line(parts.map((each, index) => aligned(each[at] ?? '', index))));
  }
  lines.push(rule);
  return `${lines.join('\n')}\n`;
}

const line = (cells: readonly string[]): string => `|${cells.map((cell) => ` ${cell} `).join('|')}|`;

const naturalWidths = (columns: readonly string[], cells: readonly (readonly string[])[]): readonly number[] =>
  columns.map((title, index) =>
    Math.max(displayWidth(title), ...cells.flatMap((row) => (row[index] ?? '').split('\n').map((each) => displayWidth(each)))),
  );

/** Squeezes the columns that are wider than an equal share, so that the line fits where the least widths allow it. */
function fitted(columns: readonly string[], natural: readonly number[], width: TableWidth): readonly number[] {
  const whole = 1 + natural.reduce((sum, each) => sum + each + 3, 0);
  if (width.max === null || whole <= width.max) return natural;
  const usable = Math.max(0, width.max - 1 - 3 * columns.length);
  const share = Math.floor(usable / columns.length);
  const wide = natural.map((each) => each > share);
  const left = usable - natural.filter((_, index) => wide[index] !== true).reduce((sum, each) => sum + each, 0);
  const each = Math.floor(left / wide.filter(Boolean).length);
  const last = wide.lastIndexOf(true);
  return natural.map((own, index) =>
    wide[index] !== true
      ? own
      : Math.min(own, Math.max(width.least, index === last ? left - each * (wide.filter(Boolean).length - 1) : each)),
  );
}

/** `text` in lines of at most `width` characters, broken at spaces where there are any. */
export function folded(text: string, width: number): readonly string[] {
  if (displayWidth(text) <= width || width === 0) return [text];
  const lines: string[] = [];
  let current = '';
  for (const word of text.split(' ')) {
    let rest = word;
    if (current !== '' && displayWidth(current) + 1 + displayWidth(rest) <= width) {
      current = `${current} ${rest}`;
      continue;
    }
    if (current !== '') lines.push(current);
    while (displayWidth(rest) > width) {
      const [head, tail] = headOf(rest, width);
      lines.push(head);
      rest = tail;
    }
    current = rest;
  }
  if (current !== '') lines.push(current);
  return lines;
}

function headOf(text: string, width: number): readonly [string, string] {
  let head = '';
  for (const character of text) {
    if (head !== '' && displayWidth(head + character) > width) break;
    head += character;
  }
  return [head, text.slice(head.length)];
}

const padded = (text: string, width: number, side: 'left' | 'right'): string => {
  const spare = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return side === 'left' ? spare + text : text + spare;
};

/** Columns of a terminal: East Asian wide and fullwidth characters take two, combining marks none (Unicode Standard Annex 11). */
function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += /\p{Mark}/u.test(character) ? 0 : wide.test(character) ? 2 : 1;
  return width;
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/u;
