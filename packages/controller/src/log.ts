import pino, { type Logger } from 'pino';

/** JSON lines on standard output. Tokens and passwords are never logged: only what callers pass by name gets here, and these names are cut. */
export function createLog(level: 'debug' | 'info' | 'warn' | 'error'): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ['*.password', '*.token', 'headers["x-auth-token"]', 'req.headers["x-auth-token"]'],
  });
}
