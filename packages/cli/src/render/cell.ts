import type { Json } from '../json.ts';

/** A value with two faces: `machine` in JSON, YAML, CSV and plain values, `human` in tables. */
export class Formatted {
  readonly machine: Json;
  readonly human: string;

  constructor(machine: Json, human: string) {
    this.machine = machine;
    this.human = human;
  }
}

/** What stands in one cell of a table. */
export type Cell = Json | Formatted;

export const machineOf = (cell: Cell): Json => (cell instanceof Formatted ? cell.machine : cell);

export const humanOf = (cell: Cell): string => (cell instanceof Formatted ? cell.human : plain(cell));

/** The machine value on one line, in Python's spelling: what scripts around the `openstack` command read. */
export const plainOf = (cell: Cell): string => plain(machineOf(cell));

const plain = (value: Json): string => (typeof value === 'string' ? value : pythonLiteral(value));

/** `None`, `True`, `{'a': 1}` */
export function pythonLiteral(value: Json): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quoted(value);
  if (isList(value)) return `[${value.map(pythonLiteral).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([key, item]) => `${quoted(key)}: ${pythonLiteral(item)}`)
    .join(', ')}}`;
}

/** Without what a terminal would obey: control characters but the ends of lines and tabs, as Python's repr spells them. What is shown may be anybody's words, a guest's among them. */
export const printable = (text: string): string => text.replaceAll(/[^\P{Cc}\n\t]/gu, escaped);

const escaped = (control: string): string => `\\x${(control.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`;

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

const quoted = (text: string): string =>
  text.includes("'") && !text.includes('"')
    ? `"${printable(text)}"`
    : `'${printable(text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n'))}'`;

type Dictionary = { readonly [key: string]: Json };

/** `key='value', inner.key='1', empty=` */
export const dictionary = (value: Dictionary): Formatted => new Formatted(value, dictionaryText(value, ''));

function dictionaryText(value: Dictionary, prefix: string): string {
  return Object.keys(value)
    .toSorted()
    .map((key) => {
      const item = value[key] ?? null;
      if (item === null) return `${prefix}${key}=`;
      return typeof item === 'object' && !isList(item) ? dictionaryText(item, `${prefix}${key}.`) : `${prefix}${key}='${plain(item)}'`;
    })
    .join(', ');
}

/** `demo=10.0.0.3, fd00::3; other=10.1.0.4` */
export const dictionaryOfLists = (value: { readonly [key: string]: readonly string[] }): Formatted =>
  new Formatted(
    value,
    Object.keys(value)
      .toSorted()
      .map((key) => `${key}=${(value[key] ?? []).toSorted().join(', ')}`)
      .join('; '),
  );

/** `a, b` */
export const listOf = (values: readonly Json[]): Formatted => new Formatted(values, values.map(plain).toSorted().join(', '));

/** A list that a cloud may leave out: absent, it is `None` to scripts and empty in tables. */
export const listOrNone = (value: Json | undefined): Formatted =>
  Array.isArray(value) ? listOf(value as readonly Json[]) : new Formatted(null, 'None');

/** One line per member: `name='default'` */
export const listOfDictionaries = (values: readonly Dictionary[]): Formatted =>
  new Formatted(values, values.map((value) => dictionaryText(value, '')).join('\n'));
