import type { Command } from './command.ts';
import { commandFiles } from './commands/index.ts';

/** Every command of the client, for help and completion. Each file once, however many first words it has. */
export async function allCommands(): Promise<readonly Command[]> {
  const files = await Promise.all([...new Set([...commandFiles.values()].map((file) => file.load))].map(async (load) => load()));
  return files.flatMap((file) => file.commands);
}
