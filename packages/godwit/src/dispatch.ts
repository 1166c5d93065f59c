import type { Command } from './commands.ts';

/** Where dispatch writes: the process's own streams, or a test's. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** The exit code for a command line that makes no sense. */
export const USAGE_EXIT_CODE = 2;

/**
 * Runs the command that the first argument names, with the arguments after it, and resolves to its exit code.
 * An unknown or missing command is one sentence on the error stream and exit code 2; nothing is loaded for it.
 * Rejects with whatever the command's module throws.
 */
export async function dispatch(
  argv: readonly string[],
  commands: ReadonlyMap<string, Command>,
  version: string,
  output: Output,
  client: Command,
): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-V') {
    output.out(`godwit ${version}\n`);
    return 0;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    output.out(helpText(commands));
    return 0;
  }
  if (name === undefined) {
    output.err(helpText(commands));
    return USAGE_EXIT_CODE;
  }
  if (/^--(os-|insecure)/.test(name)) return (await client.load()).main(argv);
  const command = commands.get(name);
  if (command === undefined) {
    output.err(`godwit: there is no command '${name}'; the commands are ${[...commands.keys()].join(', ')}\n`);
    return USAGE_EXIT_CODE;
  }
  const module = await command.load();
  return module.main(rest);
}

function helpText(commands: ReadonlyMap<string, Command>): string {
  const width = Math.max(...[...commands.keys()].map((name) => name.length));
  const lines = [...commands].map(([name, command]) => `  ${name.padEnd(width)}  ${command.summary}`);
  return [
    'usage: godwit <command> [options]',
    '',
    ...lines,
    '',
    'godwit <command> --help tells more; godwit --version prints the version.',
    '',
  ].join('\n');
}
