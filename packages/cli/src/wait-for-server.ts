import type { Cloud } from './cloud/cloud.ts';
import { HttpError } from './cloud/http.ts';
import type { Terminal } from './command.ts';
import { CommandError, exitCodes } from './command-error.ts';
import { type JsonObject, objectAt, textAt } from './json.ts';
import { pause } from './pause.ts';

/** Between two looks: a cloud answers in milliseconds, and nobody waits for less. */
const LOOK_EVERY_MS = 500;

/**
 * Resolves to the server once it has one of `statuses` with no task under way. Throws `CommandError` (exit code 4) when it ends in ERROR or in
 * another status with no task, and when the operator interrupts: waiting ends, what was asked for goes on.
 */
export async function waitForServer(cloud: Cloud, id: string, statuses: readonly string[], terminal: Terminal): Promise<JsonObject> {
  const compute = await cloud.compute();
  let restingSince: number | null = null;
  for (;;) {
    const server = objectAt(await compute.get(`/servers/${id}`), 'server');
    const status = textAt(server, 'status');
    const busy = textAt(server, 'OS-EXT-STS:task_state') !== '';
    if (!busy && statuses.includes(status)) return server;
    if (status === 'ERROR')
      throw new CommandError(`Server ${id} is in ERROR: ${textAt(objectAt(server, 'fault'), 'message') || 'the cloud names no cause'}.`, {
        exitCode: exitCodes.endedOtherwise,
        next: `\`godwit server event list ${id}\` tells what happened.`,
      });
    // A request is accepted before its task is to be seen on other clouds: a status counts as final when it has rested.
    if (busy || status === 'BUILD') restingSince = null;
    else restingSince ??= Date.now();
    if (restingSince !== null && Date.now() - restingSince > 10_000)
      throw new CommandError(`Server ${id} rests in ${status}, not in ${statuses.join(' or ')}.`, {
        exitCode: exitCodes.endedOtherwise,
        next: `\`godwit server event list ${id}\` tells what happened.`,
      });
    await pause(LOOK_EVERY_MS, terminal.interrupted);
  }
}

/** Resolves once the server is not there any more. Throws `CommandError` when it ends in ERROR instead. */
export async function waitUntilGone(cloud: Cloud, id: string, terminal: Terminal): Promise<void> {
  const compute = await cloud.compute();
  for (;;) {
    try {
      const server = objectAt(await compute.get(`/servers/${id}`), 'server');
      if (textAt(server, 'status') === 'DELETED') return;
      if (textAt(server, 'status') === 'ERROR' && textAt(server, 'OS-EXT-STS:task_state') === '')
        throw new CommandError(`Server ${id} was not deleted: it is in ERROR.`, { exitCode: exitCodes.endedOtherwise });
    } catch (error) {
      if (error instanceof HttpError && error.status === 404) return;
      throw error;
    }
    await pause(LOOK_EVERY_MS, terminal.interrupted);
  }
}

/** Resolves once no task of the server is under way. Throws `CommandError` when one has not ended within two minutes. */
export async function waitUntilIdle(cloud: Cloud, id: string, terminal: Terminal): Promise<void> {
  const compute = await cloud.compute();
  for (const until = Date.now() + 120_000; ; ) {
    const server = objectAt(await compute.get(`/servers/${id}`), 'server');
    const task = textAt(server, 'OS-EXT-STS:task_state');
    if (task === '') return;
    if (Date.now() > until)
      throw new CommandError(`Server ${id} is still ${task}.`, {
        exitCode: exitCodes.endedOtherwise,
        next: `\`godwit server event list ${id}\` tells what happened.`,
      });
    await pause(LOOK_EVERY_MS, terminal.interrupted);
  }
}
