import { allCommands } from './all-commands.ts';
import type { Terminal } from './command.ts';
import { commandFiles } from './commands/index.ts';
import { runProgram } from './program.ts';

/** Runs one command line in this process, on its own streams, and resolves to the exit code. Loads only what its first word needs. */
export async function main(argv: readonly string[]): Promise<number> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  const terminal: Terminal = {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTerminal: process.stdout.isTTY === true,
    columns: process.stdout.columns ?? 80,
    env: process.env,
    interrupted: interrupted.signal,
  };
  // `godwit … | head` closes the pipe: not a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const words = optionsLast(argv);
  const file = commandFiles.get(words[0] ?? '');
  const commands = file === undefined ? await allCommands() : (await file.load()).commands;
  return runProgram(commands, words, terminal);
}

/** `--os-cloud lab server list` → `server list --os-cloud lab`: the options of the cloud may stand first. */
function optionsLast(argv: readonly string[]): readonly string[] {
  let at = 0;
  while (argv[at]?.startsWith('--') === true) at += argv[at] === '--insecure' || argv[at]?.includes('=') === true ? 1 : 2;
  return [...argv.slice(at), ...argv.slice(0, at)];
}
