import type { Command } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { completionScript, type Shell, shells } from '../completion.ts';

const isShell = (given: string): given is Shell => (shells as readonly string[]).includes(given);

export const commands: readonly Command[] = [
  {
    words: 'complete',
    summary: 'Print the completion script of a shell: bash (default), zsh or fish',
    arguments: ['[shell]'],
    output: 'offline',
    run: async (input, terminal) => {
      const shell = input.argument('shell') || 'bash';
      if (!isShell(shell))
        throw new CommandError(`There is no completion for ${shell}; the shells are ${shells.join(', ')}.`, { exitCode: exitCodes.usage });
      const { allCommands } = await import('../all-commands.ts');
      terminal.out(completionScript(shell, await allCommands(), ['lab', 'demo', 'controller', 'agent']));
    },
  },
];
