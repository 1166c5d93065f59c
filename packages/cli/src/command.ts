import type { Cloud } from './cloud/cloud.ts';
import type { Cell } from './render/cell.ts';

/** A command line option as commander writes it: `--host <host>`, `-n, --no-name-lookup`. */
export interface CommandOption {
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  /** It may be given more than once. */
  readonly repeat?: boolean;
  readonly required?: boolean;
  readonly kind?: 'text' | 'integer';
}

export interface ListResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export type ShowResult = readonly (readonly [name: string, value: Cell])[];

/** What the command line said, by the long names of options and the names of arguments. */
export interface Input {
  readonly flag: (option: string) => boolean;
  /** Null when the option was not given. */
  readonly text: (option: string) => string | null;
  readonly integer: (option: string) => number | null;
  readonly texts: (option: string) => readonly string[];
  readonly argument: (name: string) => string;
  readonly arguments: (name: string) => readonly string[];
}

/** Where a command writes beside its result, and what it may ask of the terminal. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether the output is a terminal: only then a line may be rewritten. */
  readonly isTerminal: boolean;
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends a wait: the operator pressed Ctrl-C. */
  readonly interrupted: AbortSignal;
}

interface Described {
  /** `server migration list` */
  readonly words: string;
  readonly summary: string;
  /** `<server>`, `<server...>`, `[server]` */
  readonly arguments?: readonly string[];
  readonly options?: readonly CommandOption[];
}

type Run<Result> = (cloud: Cloud, input: Input, terminal: Terminal) => Promise<Result>;

/** One command: what it is called, what it takes, and what it gives: a list, the fields of one thing, or nothing but its exit code. */
export type Command =
  | (Described & { readonly output: 'list'; readonly run: Run<ListResult> })
  | (Described & { readonly output: 'show'; readonly run: Run<ShowResult> })
  | (Described & { readonly output: 'none'; readonly run: Run<void> })
  /** Talks to no cloud, and needs no credentials. */
  | (Described & { readonly output: 'offline'; readonly run: (input: Input, terminal: Terminal) => Promise<void> });
