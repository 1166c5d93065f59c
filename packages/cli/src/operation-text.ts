import { type JsonObject, numberAt, objectAt, objectsAt, textAt } from './json.ts';

/** One line for where a fleet operation stands: `drain of node1: running, 3 of 7 moved, 1 failed`. */
export function operationLine(operation: JsonObject): string {
  const counts = objectAt(operation, 'counts');
  const count = (state: string): number => numberAt(counts, state) ?? 0;
  const all = Object.keys(counts).reduce((sum, state) => sum + count(state), 0);
  const parts = [`${operationName(operation)}: ${textAt(operation, 'state')}`, `${count('done')} of ${all} moved`];
  for (const state of ['moving', 'failed', 'excluded', 'skipped', 'cancelled'])
    if (count(state) > 0) parts.push(`${count(state)} ${state}`);
  return parts.join(', ');
}

/** `drain of node1, node2`; `bulk` where no host is named. */
export function operationName(operation: JsonObject): string {
  const hosts = objectsAt(operation, 'hosts').map((each) => textAt(objectAt(each, 'host'), 'name'));
  return hosts.length === 0 ? textAt(operation, 'kind') : `${textAt(operation, 'kind')} of ${hosts.join(', ')}`;
}

/** Whether it has ended, and as asked. */
export function operationEnd(operation: JsonObject): { readonly asAsked: boolean } | null {
  const state = textAt(operation, 'state');
  return state === 'completed' ? { asAsked: true } : state === 'incomplete' || state === 'aborted' ? { asAsked: false } : null;
}

/** One line for an item that needs an operator's eye or has just ended; null where there is nothing to say. */
export function itemLine(item: JsonObject): string | null {
  const server = textAt(objectAt(item, 'server'), 'name');
  const to = textAt(objectAt(item, 'destination'), 'name');
  const cause = objectAt(item, 'cause');
  const note = textAt(item, 'note');
  const why = textAt(cause, 'sentence');
  const remedy = textAt(cause, 'remedy');
  switch (textAt(item, 'state')) {
    case 'moving':
      return `${server} → ${to || '…'}`;
    case 'done':
      return `${server}: on ${to}${note === '' ? '' : ` (${note})`}`;
    case 'failed':
    case 'excluded':
    case 'skipped':
    case 'cancelled':
      return `${server}: ${textAt(item, 'state')}: ${textAt(cause, 'code')}${why === '' ? '' : `: ${why}`}${remedy === '' ? '' : ` → ${remedy}`}`;
    default:
      return null;
  }
}
