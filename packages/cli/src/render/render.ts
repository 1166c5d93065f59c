import type { Input, ListResult, ShowResult, Terminal } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import type { Json } from '../json.ts';
import { type Cell, machineOf, plainOf } from './cell.ts';
import { renderTable, type TableWidth } from './table.ts';

/** A list in the format that the command line asked for. Throws `CommandError` for a column that is not there. */
export async function renderList(result: ListResult, input: Input, terminal: Terminal): Promise<string> {
  const sorted = sortedRows(result, input);
  const { columns, rows } = chosen({ columns: result.columns, rows: sorted }, input.texts('column'));
  switch (input.text('format') ?? 'table') {
    case 'json':
      return json(
        rows.map((row) => objectOf(columns, row)),
        input,
      );
    case 'yaml':
      return yaml(rows.map((row) => objectOf(columns, row)));
    case 'csv':
      return csv(columns, rows, input.text('quote') ?? 'nonnumeric');
    case 'value':
      return rows.map((row) => `${row.map(plainOf).join(' ')}\n`).join('');
    default:
      if (rows.length === 0 && !input.flag('print-empty')) return '\n';
      return renderTable(columns, rows, tableWidth(input, terminal, 8));
  }
}

/** The fields of one thing in the format that the command line asked for. Throws `CommandError` for a field that is not there. */
export async function renderShow(result: ShowResult, input: Input, terminal: Terminal): Promise<string> {
  const whole = { columns: result.map(([name]) => name), rows: [result.map(([, value]) => value)] };
  const { columns, rows } = chosen(whole, input.texts('column'));
  const values = rows[0] ?? [];
  switch (input.text('format') ?? 'table') {
    case 'json':
      return json(objectOf(columns, values), input);
    case 'yaml':
      return columns.length === 0 ? '' : yaml(objectOf(columns, values));
    case 'value':
      return values.map((value) => `${plainOf(value)}\n`).join('');
    case 'shell':
      return columns.map((name, index) => shellLine(input.text('prefix') ?? '', name, values[index] ?? null)).join('');
    default:
      if (columns.length === 0) return '\n';
      return renderTable(
        ['Field', 'Value'],
        columns.map((name, index) => [name, asText(values[index] ?? null)]),
        tableWidth(input, terminal, 16),
      );
  }
}

/** The value column is never aligned as a number: its rows are of many kinds. */
const asText = (cell: Cell): Cell => (typeof cell === 'number' ? String(cell) : cell);

const objectOf = (columns: readonly string[], row: readonly Cell[]): Json =>
  Object.fromEntries(columns.map((name, index) => [name, machineOf(row[index] ?? null)]));

const json = (value: Json, input: Input): string => `${JSON.stringify(value, null, input.flag('noindent') ? undefined : 2)}\n`;

async function yaml(value: Json): Promise<string> {
  const { stringify } = await import('yaml');
  // As PyYAML writes it: sequences not indented, the keys of each row in order.
  return stringify(value, { lineWidth: 0, indentSeq: false, sortMapEntries: Array.isArray(value), version: '1.1' });
}

function chosen(result: ListResult, wanted: readonly string[]): ListResult {
  if (wanted.length === 0) return result;
  const folded = new Set(wanted.map(fold));
  const indexes = result.columns.flatMap((name, index) => (folded.has(fold(name)) ? [index] : []));
  if (indexes.length === 0)
    throw new CommandError(`No recognized column names in ${wanted.join(', ')}. Recognized columns are ${result.columns.join(', ')}.`, {
      exitCode: exitCodes.failed,
    });
  return {
    columns: indexes.map((index) => result.columns[index] ?? ''),
    rows: result.rows.map((row) => indexes.map((index) => row[index] ?? null)),
  };
}

/** `Created At`, `created_at` and `created at` name one column. */
const fold = (name: string): string => name.toLowerCase().replaceAll('_', ' ');

function sortedRows(result: ListResult, input: Input): readonly (readonly Cell[])[] {
  const indexes = input.texts('sort-column').map((name) => result.columns.indexOf(name));
  const direction = input.flag('sort-descending') ? -1 : 1;
  return result.rows.toSorted((a, b) => {
    for (const index of indexes) {
      if (index < 0) continue;
      const order = compare(machineOf(a[index] ?? null), machineOf(b[index] ?? null));
      if (order !== 0) return order * direction;
    }
    return 0;
  });
}

/** Absent values come last in ascending order. */
function compare(a: Json, b: Json): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [plainOf(a), plainOf(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function csv(columns: readonly string[], rows: readonly (readonly Cell[])[], mode: string): string {
  const write = (value: Json): string => {
    const text = value === null ? '' : plainOf(value);
    const quote =
      mode === 'all' ||
      (mode === 'nonnumeric' && typeof value !== 'number' && typeof value !== 'boolean') ||
      (mode === 'minimal' && /[",\r\n]/.test(text));
    return quote ? `"${text.replaceAll('"', '""')}"` : mode === 'none' ? text.replaceAll(/[,"\\\n]/g, (found) => `\\${found}`) : text;
  };
  const lines = [columns.map(write), ...rows.map((row) => row.map((cell) => write(csvValue(cell))))];
  return lines.map((each) => `${each.join(',')}\n`).join('');
}

const csvValue = (cell: Cell): Json => {
  const value = machineOf(cell);
  return typeof value === 'object' && value !== null ? plainOf(value) : value;
};

function shellLine(prefix: string, name: string, cell: Cell): string {
  const variable = name.toLowerCase().replaceAll(/[ :-]/g, '_');
  return `${prefix}${variable}="${plainOf(cell).replaceAll('"', '\\"')}"\n`;
}

function tableWidth(input: Input, terminal: Terminal, least: number): TableWidth {
  const asked = input.integer('max-width') ?? Number(terminal.env.CLIFF_MAX_TERM_WIDTH ?? 0);
  if (asked > 0) return { max: asked, least };
  const fit = input.flag('fit-width') || Number(terminal.env.CLIFF_FIT_WIDTH ?? 0) === 1;
  return { max: fit && terminal.isTerminal ? terminal.columns : null, least };
}
