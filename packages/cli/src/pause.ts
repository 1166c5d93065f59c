import { setTimeout } from 'node:timers/promises';
import { CommandError, exitCodes } from './command-error.ts';

/** Resolves after `ms`. Throws `CommandError` at once when the operator interrupts: the waiting ends, not what is waited for. */
export async function pause(ms: number, interrupted: AbortSignal): Promise<void> {
  try {
    await setTimeout(ms, undefined, { signal: interrupted });
  } catch {
    throw new CommandError('Not waiting any longer; what was asked for goes on.', { exitCode: exitCodes.endedOtherwise });
  }
}
