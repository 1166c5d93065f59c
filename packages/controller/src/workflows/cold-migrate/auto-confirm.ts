import { setTimeout as delay } from 'node:timers/promises';
import { confirmOverdue } from '../accept/confirm-resize.ts';
import type { WorkflowContext } from '../workflow-context.ts';

/** An overdue move waits no longer than this beyond its window, and is looked for no more often. */
const LONGEST_PAUSE_MS = 30_000;
const SHORTEST_PAUSE_MS = 200;

export type AutoConfirm = { readonly stop: () => Promise<void> };

/** Confirms finished moves after the window of the configuration; any number of controllers may do it at once. `windowMs` 0: never, and nothing is started. */
export function startAutoConfirm(context: Pick<WorkflowContext, 'db' | 'workflows' | 'log'>, windowMs: number): AutoConfirm {
  if (windowMs === 0) return { stop: async () => {} };
  const stopping = new AbortController();
  const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, windowMs / 4));
  const done = (async () => {
    while (!stopping.signal.aborted) {
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        const confirmed = await confirmOverdue(context.db, context.workflows, windowMs);
        for (const server of confirmed) context.log.info({ server }, 'a cold move was confirmed by the clock');
      } catch (error) {
        context.log.warn({ err: error }, 'overdue cold moves could not be confirmed; trying again');
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
