import type { CommandOption } from '../command.ts';

export const listFormats = ['csv', 'json', 'table', 'value', 'yaml'] as const;
export const showFormats = ['json', 'shell', 'table', 'value', 'yaml'] as const;

const common: readonly CommandOption[] = [
  { flags: '-c, --column <column>', description: 'specify the column(s) to include, can be repeated', repeat: true },
  { flags: '--noindent', description: 'do not indent JSON' },
  { flags: '--max-width <integer>', description: 'maximum display width of a table', kind: 'integer' },
  { flags: '--fit-width', description: 'fit a table to the width of the terminal' },
  { flags: '--print-empty', description: 'print an empty table if there is no data to show' },
];

/** What every command that lists takes beside its own options: the `openstack` command's words. */
export const listOptions: readonly CommandOption[] = [
  { flags: '-f, --format <format>', description: 'the output format, defaults to table', choices: listFormats },
  ...common,
  { flags: '--quote <mode>', description: 'when to quote in CSV', choices: ['all', 'minimal', 'none', 'nonnumeric'] },
  { flags: '--sort-column <column>', description: 'sort by these columns, can be repeated', repeat: true },
  { flags: '--sort-ascending', description: 'sort in ascending order' },
  { flags: '--sort-descending', description: 'sort in descending order' },
];

/** What every command that shows one thing takes beside its own options. */
export const showOptions: readonly CommandOption[] = [
  { flags: '-f, --format <format>', description: 'the output format, defaults to table', choices: showFormats },
  ...common,
  { flags: '--prefix <prefix>', description: 'put before every variable of the shell format' },
];
