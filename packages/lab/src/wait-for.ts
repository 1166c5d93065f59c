import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from './lab-error.ts';

/**
 * Looks every `everyMs` until `look` is true. Throws LabError NOT_READY with `what` after `timeoutMs`; what `look` itself throws ends the
 * wait at once.
 */
export async function waitFor(what: string, look: () => Promise<boolean>, timeoutMs: number, everyMs = 50): Promise<void> {
  for (const deadline = performance.now() + timeoutMs; !(await look()); await delay(everyMs)) {
    if (performance.now() > deadline) throw new LabError('NOT_READY', `${what} within ${Math.round(timeoutMs / 1000)} s`);
  }
}
