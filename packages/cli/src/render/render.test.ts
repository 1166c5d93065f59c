import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Input, Terminal } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { dictionary, dictionaryOfLists, listOf, pythonLiteral } from './cell.ts';
import { renderList, renderShow } from './render.ts';
import { renderTable } from './table.ts';

const terminal: Terminal = {
  out: () => {},
  err: () => {},
  isTerminal: false,
  columns: 80,
  env: {},
  interrupted: new AbortController().signal,
};

const input = (options: Readonly<Record<string, string | boolean | readonly string[]>>): Input => ({
  flag: (name) => options[name] === true,
  text: (name) => (typeof options[name] === 'string' ? options[name] : null),
  integer: (name) => (typeof options[name] === 'string' ? Number(options[name]) : null),
  texts: (name) => (Array.isArray(options[name]) ? options[name] : []),
  argument: () => '',
  arguments: () => [],
});

const list = {
  columns: ['ID', 'Name', 'RAM'],
  rows: [
    ['2', 'b', 512],
    ['1', 'a', null],
    ['3', 'c', 96],
  ],
};
const list_ = async (options: Parameters<typeof input>[0]) => renderList(list, input(options), terminal);

describe('lists', () => {
  it("prints no control characters of others' words, which a terminal would obey", async () => {
    const evil = '\u001b]0;owned\u0007\u009b2J\u0000\u007f';
    const shown = String.raw`\x1b]0;owned\x07\x9b2J\x00\x7f`;
    const rows = [
      ['timeline', evil],
      ['measures', { detail: `it's ${evil}` }],
      ['more', [evil]],
    ] as const;
    const table = await renderShow(rows, input({}), terminal);
    const values = await renderShow(rows.slice(1), input({ format: 'value' }), terminal);
    for (const text of [table.replaceAll('\n', ''), values.replaceAll('\n', '')]) expect(text).not.toMatch(/\p{Cc}/u);
    expect(values).toContain(shown);
    expect(await renderList({ columns: ['Detail'], rows: [[evil]] }, input({}), { ...terminal, columns: 200 })).toContain(shown);
  });

  it('draws a table with numbers to the right', async () => {
    expect(await list_({ 'sort-column': ['Name'], 'sort-descending': true })).toBe(
      [
        '+----+------+------+',
        '| ID | Name |  RAM |',
        '+----+------+------+',
        '| 3  | c    |   96 |',
        '| 2  | b    |  512 |',
        '| 1  | a    | None |',
        '+----+------+------+',
        '',
      ].join('\n'),
    );
  });

  it('sorts absent values last, and by several columns', async () => {
    expect(await list_({ format: 'value', column: ['ID'], 'sort-column': ['RAM'] })).toBe('3\n2\n1\n');
  });

  it('writes CSV with everything but numbers quoted', async () => {
    expect(await list_({ format: 'csv' })).toBe('"ID","Name","RAM"\n"2","b",512\n"1","a",""\n"3","c",96\n');
  });

  it('names the columns there are when none of those asked for is', async () => {
    await expect(list_({ column: ['Nope'] })).rejects.toThrow(CommandError);
    await expect(list_({ column: ['Nope'] })).rejects.toThrow('Recognized columns are ID, Name, RAM.');
  });

  it('finds a column by any of its spellings', async () => {
    const spelled = { columns: ['Created At'], rows: [['now']] };
    for (const column of ['Created At', 'created_at', 'created at'])
      expect(await renderList(spelled, input({ format: 'value', column: [column] }), terminal)).toBe('now\n');
  });
});

describe('one thing', () => {
  it('has a line per field, in the shell format fit for eval', async () => {
    const fields = [
      ['OS-EXT-STS:task_state', null],
      ['name', 'say "hi"'],
    ] as const;
    expect(await renderShow(fields, input({ format: 'shell', prefix: 's_' }), terminal)).toBe(
      's_os_ext_sts_task_state="None"\ns_name="say \\"hi\\""\n',
    );
  });
});

describe('cells', () => {
  it('are what Python would print', () => {
    expect(pythonLiteral({ a: [1, 'x', null], b: { c: true } })).toBe("{'a': [1, 'x', None], 'b': {'c': True}}");
    expect(pythonLiteral("it's")).toBe('"it\'s"');
    expect(dictionary({ b: '2', a: { x: 1 }, c: null }).human).toBe("a.x='1', b='2', c=");
    expect(dictionaryOfLists({ n: ['10.0.0.2', '10.0.0.10'] }).human).toBe('n=10.0.0.10, 10.0.0.2');
    expect(listOf(['b', 'a']).human).toBe('a, b');
  });
});

describe('tables', () => {
  it('keep every line at one width, lose no character but spaces, whatever is in them and however narrow', () => {
    const text = fc.string({ maxLength: 60 }).map((each) => each.replaceAll(/\s+/g, ' ').trim());
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 6 }),
        fc.option(fc.integer({ min: 10, max: 90 })),
        (rows, max) => {
          const drawn = renderTable(['One', 'Two'], rows, { max, least: 8 });
          const lines = drawn.trimEnd().split('\n');
          if (rows.flat().every((each) => /^[\x20-\x7e]*$/.test(each))) expect(new Set(lines.map((line) => line.length)).size).toBe(1);
          const shown = (all: string): string => [...all.replaceAll(/[\s|+-]/g, '')].toSorted().join('');
          expect(shown(drawn)).toBe(shown(`OneTwo${rows.flat().join('')}`));
        },
      ),
    );
  });
});
