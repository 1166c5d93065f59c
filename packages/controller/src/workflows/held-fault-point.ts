import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { WorkflowContext } from './workflow-context.ts';

const LOOK_EVERY_MS = 2;

/**
 * Fault points of a controller that runs (`make chaos`): at a point that has a file of its name in `directory` (`:` as `.`) a workflow says so in the log, and stays as long as the file
 * exists. Undefined without a directory.
 */
export function heldFaultPoint(directory: string | undefined, log: Logger): WorkflowContext['faultPoint'] | undefined {
  if (directory === undefined) return undefined;
  return async (name) => {
    const file = `${directory}/${name.replaceAll(':', '.')}`;
    if (!existsSync(file)) return;
    log.warn({ faultPoint: name }, 'held at a fault point');
    while (existsSync(file)) await delay(LOOK_EVERY_MS);
  };
}
