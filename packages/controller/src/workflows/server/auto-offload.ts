import { setTimeout as delay } from 'node:timers/promises';
import { offloadOverdue } from '../accept/shelve.ts';
import type { WorkflowContext } from '../workflow-context.ts';

/** An overdue server waits no longer than this beyond its window, and is looked for no more often. */
const LONGEST_PAUSE_MS = 30_000;
const SHORTEST_PAUSE_MS = 200;

export type AutoOffload = { readonly stop: () => Promise<void> };

/**
 * Offloads servers that have been shelved for `windowMs`; with 0, those whose place could not be given up when they were shelved. Any number of controllers may do it at once. Negative: never, and nothing is
 * started.
 */
export function startAutoOffload(context: Pick<WorkflowContext, 'db' | 'workflows' | 'log'>, windowMs: number): AutoOffload {
  if (windowMs < 0) return { stop: async () => {} };
  const stopping = new AbortController();
  const pauseMs = windowMs === 0 ? LONGEST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, windowMs / 4));
  const done = (async () => {
    while (!stopping.signal.aborted) {
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        const offloaded = await offloadOverdue(context.db, context.workflows, windowMs);
        for (const server of offloaded) context.log.info({ server }, 'a shelved server gives up its host, by the clock');
      } catch (error) {
        context.log.warn({ err: error }, 'overdue shelved servers could not be offloaded; trying again');
      }
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}
