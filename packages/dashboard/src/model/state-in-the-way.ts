import { actionRules, type ServerAction, serverStatus } from '@godwit/domain/server-states';
import { statusWord } from '../words.ts';

/** The ways in which each kind of plan moves an instance. */
const ways: Readonly<Record<'bulk' | 'drain' | 'evacuate', readonly ServerAction[]>> = {
  bulk: ['live-migrate'],
  drain: ['live-migrate', 'migrate'],
  evacuate: ['evacuate'],
};

/** Why the state of an instance keeps it out of a plan, by the table that makes the API refuse it: which statuses can be moved, and which it has. */
export function stateInTheWay(kind: 'bulk' | 'drain' | 'evacuate', status: string): string {
  const states = ways[kind].flatMap((action) => actionRules[action].vmStates).filter((state) => state !== 'any');
  const needed = [...new Set(states.map((state) => statusWord(serverStatus(state, null))))];
  const word = statusWord(status);
  if (needed.includes(word)) return 'Another task is in progress.';
  return `Needs status ${wordList(needed)}; this instance is ${word}.`;
}

/** `Active, Paused or Shutoff`. */
export const wordList = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1) ?? ''}`;
