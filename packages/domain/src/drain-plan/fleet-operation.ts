/**
 * A fleet operation: many moves asked for as one. The operation and its items are rows; what is here is what their words mean and what may follow what.
 * - `bulk`: moves the servers that were named.
 * - `drain`: disables hosts, moves everything away, proves them empty, leaves them disabled.
 * - `maintenance`: a drain whose host counts as in maintenance until a `restore`.
 * - `rolling`: maintenance of several hosts, at most k at once, each restored before the next begins.
 * - `restore`: enables a host and brings home what the last drain or maintenance moved away.
 * - `evacuate`: restarts from disk, elsewhere, what a dead host had.
 */
export const operationKinds = ['bulk', 'drain', 'maintenance', 'rolling', 'restore', 'evacuate'] as const;
export type OperationKind = (typeof operationKinds)[number];

/** `paused`: what moves goes on, nothing new begins. `aborting`: the same, for good. `incomplete`: ended, and something was not moved. */
export const operationStates = ['running', 'paused', 'aborting', 'completed', 'incomplete', 'aborted'] as const;
export type OperationState = (typeof operationStates)[number];
export const endedOperationStates = ['completed', 'incomplete', 'aborted'] as const satisfies readonly OperationState[];

/**
 * `excluded`: could not be moved when the operation began, and why was said before the first move. `skipped`: nothing is left to do (deleted, or gone from its host by itself).
 * `cancelled`: the operation was aborted before its turn came.
 */
export const itemStates = ['waiting', 'moving', 'done', 'failed', 'excluded', 'skipped', 'cancelled'] as const;
export type ItemState = (typeof itemStates)[number];
export const endedItemStates = ['done', 'failed', 'excluded', 'skipped', 'cancelled'] as const satisfies readonly ItemState[];

/** How a server leaves its host: running, shut down (or stopped already), or restarted from disk because the host is dead. */
export const moveMethods = ['live', 'cold', 'restart'] as const;
export type MoveMethod = (typeof moveMethods)[number];

/** A host within a drain, maintenance, rolling or restore, in order. `not-empty`: everything that could be moved was, and something is left. */
export const hostSteps = ['waiting', 'draining', 'empty', 'not-empty', 'in-maintenance', 'restoring', 'restored', 'cancelled'] as const;
export type HostStep = (typeof hostSteps)[number];

export const operationCommands = ['pause', 'resume', 'abort', 'retry'] as const;
export type OperationCommand = (typeof operationCommands)[number];

export type ItemCounts = Readonly<Record<ItemState, number>>;
export function countItems(states: Iterable<ItemState>): ItemCounts {
  const counts = Object.fromEntries(itemStates.map((state) => [state, 0])) as Record<ItemState, number>;
  for (const state of states) counts[state] += 1;
  return counts;
}

export const hasEnded = (state: OperationState): boolean => (endedOperationStates as readonly OperationState[]).includes(state);
export const itemHasEnded = (state: ItemState): boolean => (endedItemStates as readonly ItemState[]).includes(state);

/** What an operator may do with an operation now: the one table that the API obeys and the pages show. */
export function allowedCommands(state: OperationState, counts: ItemCounts): readonly OperationCommand[] {
  return operationCommands.filter((command) => refusalOf(command, state, counts) === null);
}

/** Why a command is refused now, in words that follow "cannot <command>: "; null: it is not. */
export function refusalOf(command: OperationCommand, state: OperationState, counts: ItemCounts): string | null {
  const ended = hasEnded(state);
  switch (command) {
    case 'pause':
      return ended ? `it has ended (${state})` : state === 'running' ? null : `it is ${state}`;
    case 'resume':
      return ended ? `it has ended (${state})` : state === 'paused' ? null : `it is ${state}`;
    case 'abort':
      return ended ? `it has ended (${state})` : state === 'aborting' ? 'it is being aborted already' : null;
    case 'retry':
      if (!ended) return `it is ${state}; retry when it has ended`;
      return counts.failed + counts.excluded > 0 ? null : 'none of its servers failed';
  }
}
