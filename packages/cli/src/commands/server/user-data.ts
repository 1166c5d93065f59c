import { readFile } from 'node:fs/promises';
import type { Input } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';

/** The file of `--user-data` as the API takes it, or null without one. Throws a usage error when it cannot be read. */
export async function userDataOf(input: Input): Promise<string | null> {
  const file = input.text('user-data');
  if (file === null) return null;
  try {
    return (await readFile(file)).toString('base64');
  } catch (error) {
    throw new CommandError(`Can't open '${file}': ${error instanceof Error ? error.message : String(error)}`, {
      exitCode: exitCodes.usage,
    });
  }
}
