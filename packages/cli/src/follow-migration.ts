import type { Cloud } from './cloud/cloud.ts';
import { HttpError } from './cloud/http.ts';
import type { Terminal } from './command.ts';
import { CommandError, exitCodes } from './command-error.ts';
import { type JsonObject, numberAt, objectAt, objectsAt, textAt } from './json.ts';
import { migrationEnd, progressLine } from './migration-text.ts';
import { pause } from './pause.ts';

/** Between two looks at the record: short against the phases of a move, long against the time of an answer. */
const LOOK_EVERY_MS = 200;

/** The number of the newest migration of a server, 0 if it never had one; null where the records are not to be seen (another cloud, no admin). */
export async function latestMigration(cloud: Cloud, serverId: string): Promise<number | null> {
  const newest = await newestOf(cloud, serverId);
  return newest === undefined ? null : newest === null ? 0 : (numberAt(newest, 'apiId') ?? 0);
}

/** Undefined: not to be seen. Null: none yet. */
async function newestOf(cloud: Cloud, serverId: string): Promise<JsonObject | null | undefined> {
  if (!(await cloud.has('godwit'))) return undefined;
  try {
    const body = await (await cloud.service('godwit')).get('/migrations', { server: serverId, limit: 1 });
    return objectsAt(body, 'migrations')[0] ?? null;
  } catch (error) {
    if (error instanceof HttpError && error.status === 403) return undefined;
    throw error;
  }
}

/**
 * Shows the progress of the server's migration that is newer than number `before` until its record has ended. Resolves to whether there was a
 * record to follow. Throws `CommandError` (exit code 4) with the record's own cause when it ended otherwise than asked.
 */
export async function followMigration(cloud: Cloud, serverId: string, before: number | null, terminal: Terminal): Promise<boolean> {
  if (before === null) return false;
  const newest = await newestOf(cloud, serverId);
  if (newest === undefined || newest === null || (numberAt(newest, 'apiId') ?? 0) <= before) return false;
  await followRecord(cloud, textAt(newest, 'id'), terminal);
  return true;
}

/** The same for one record by its id. */
export async function followRecord(cloud: Cloud, migrationId: string, terminal: Terminal): Promise<void> {
  const godwit = await cloud.service('godwit');
  let shown = '';
  for (;;) {
    const record = objectAt(await godwit.get(`/migrations/${migrationId}`), 'migration');
    const end = migrationEnd(record);
    const line = progressLine(record);
    if (terminal.isTerminal)
      terminal.out(`\r${line.text.slice(0, terminal.columns - 1).padEnd(Math.min(shown.length, terminal.columns - 1))}`);
    else if (line.stage !== shown) terminal.out(`${line.text}\n`);
    shown = terminal.isTerminal ? line.text : line.stage;
    if (end !== null) {
      if (terminal.isTerminal) terminal.out('\n');
      if (end.asAsked) {
        terminal.out(`${end.sentence}\n`);
        return;
      }
      throw new CommandError(end.sentence, {
        exitCode: exitCodes.endedOtherwise,
        next: `\`godwit migration show ${migrationId}\` has the timeline and the verdict of every host.`,
      });
    }
    await pause(LOOK_EVERY_MS, terminal.interrupted);
  }
}
