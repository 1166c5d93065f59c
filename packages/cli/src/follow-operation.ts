import type { Cloud } from './cloud/cloud.ts';
import type { Terminal } from './command.ts';
import { CommandError, exitCodes } from './command-error.ts';
import { type JsonObject, objectAt, objectsAt, textAt } from './json.ts';
import { itemLine, operationEnd, operationLine } from './operation-text.ts';
import { pause } from './pause.ts';

const LOOK_EVERY_MS = 500;

/**
 * Shows a fleet operation until it has ended: a line whenever an item changes, and where the whole stands. Throws `CommandError` (exit code 4)
 * when it ended otherwise than completed.
 */
export async function followOperation(cloud: Cloud, id: string, terminal: Terminal): Promise<void> {
  const godwit = await cloud.service('godwit');
  const told = new Map<number, string>();
  let line = '';
  for (;;) {
    const operation = objectAt(await godwit.get(`/operations/${id}`), 'operation');
    for (const [index, item] of objectsAt(operation, 'items').entries()) {
      const text = itemLine(item);
      if (text === null || told.get(index) === text) continue;
      told.set(index, text);
      terminal.out(`${terminal.isTerminal ? '\r\u001b[K' : ''}${text}\n`);
    }
    const now = operationLine(operation);
    const end = operationEnd(operation);
    if (terminal.isTerminal) terminal.out(`\r\u001b[K${now}`);
    else if (now !== line && end !== null) terminal.out(`${now}\n`);
    line = now;
    if (end !== null) {
      if (terminal.isTerminal) terminal.out('\n');
      ended(operation, end.asAsked, terminal);
      return;
    }
    await pause(LOOK_EVERY_MS, terminal.interrupted);
  }
}

function ended(operation: JsonObject, asAsked: boolean, terminal: Terminal): void {
  const sentence = textAt(operation, 'sentence');
  if (asAsked) {
    terminal.out(`${sentence}\n`);
    return;
  }
  const id = textAt(operation, 'id');
  throw new CommandError(sentence, {
    exitCode: exitCodes.endedOtherwise,
    next: `\`godwit drain show ${id}\` lists every server; \`godwit drain retry ${id}\` takes up what failed.`,
  });
}
