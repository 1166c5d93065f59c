import type { ServerFault } from '../../store/core-tables.ts';

/** A fault as the compute API shows it; `details` only to those who may see host names. */
export function serverFault(message: string, details?: string): string {
  const fault: ServerFault = { code: 500, message, created: new Date().toISOString(), ...(details === undefined ? {} : { details }) };
  return JSON.stringify(fault);
}
