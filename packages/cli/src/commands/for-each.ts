import type { Terminal } from '../command.ts';
import { CommandError } from '../command-error.ts';

/**
 * Does the same to every one of `names`, one after the other, past failures. One name: its failure is thrown as it is. Several: each failure is
 * a sentence on the error stream, and in the end one `CommandError` says how many failed.
 */
export async function forEach(names: readonly string[], terminal: Terminal, work: (name: string) => Promise<void>): Promise<void> {
  let failed = 0;
  for (const name of names) {
    try {
      await work(name);
    } catch (error) {
      if (!(error instanceof CommandError) || names.length === 1) throw error;
      failed += 1;
      terminal.err(`${name}: ${error.message}\n`);
    }
  }
  if (failed > 0) throw new CommandError(`${failed} of ${names.length} failed.`);
}
