import { join } from 'node:path';
import { scopeOfLine } from '@godwit/telemetry/request-scope';
import pino, { type Logger } from 'pino';

/** Where a controller keeps the latest lines of its log, for `godwit doctor --bundle`. */
export const recentLogFile = (config: { readonly stateDir: string }): string => join(config.stateDir, 'log', 'controller.jsonl');

type Lines = { readonly write: (line: string) => void };

/**
 * JSON lines on standard output, and in `also`; what is done for a request of the API carries its `requestId`. Tokens and passwords are never logged: only what callers pass by name gets here, and
 * these names are cut.
 */
export function createLog(level: 'debug' | 'info' | 'warn' | 'error', also: readonly Lines[] = []): Logger {
  return pino(
    {
      // What is kept is kept from `info` on, whatever is shown.
      level: also.length === 0 || level === 'debug' ? level : 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ['*.password', '*.token', 'headers["x-auth-token"]', 'req.headers["x-auth-token"]'],
      mixin: scopeOfLine,
    },
    also.length === 0
      ? pino.destination(1)
      : pino.multistream([{ level, stream: pino.destination(1) }, ...also.map((stream) => ({ level: 'info' as const, stream }))]),
  );
}
