import type { Operation } from '../api/operations.ts';

const columns = [
  'position',
  'server',
  'id',
  'state',
  'method',
  'from',
  'planned',
  'to',
  'attempt',
  'migration',
  'started',
  'finished',
  'note',
  'cause',
] as const;

/** A run as a table for spreadsheets: RFC 4180, one line per item, in the run's order. */
export function operationCsv(operation: Pick<Operation, 'items'>): string {
  const lines = operation.items.map((item) => [
    String(item.position),
    item.server.name,
    item.server.id,
    item.state,
    item.method,
    item.source?.name ?? '',
    item.planned?.name ?? '',
    item.destination?.name ?? '',
    String(item.attempt),
    item.migrationId ?? '',
    item.startedAt ?? '',
    item.finishedAt ?? '',
    item.note ?? '',
    item.cause === null ? '' : `${item.cause.code}: ${item.cause.sentence}`,
  ]);
  return [columns, ...lines].map((line) => `${line.map(field).join(',')}\r\n`).join('');
}

/** A leading = + - @ would be a formula to a spreadsheet: a name must not become one. */
function field(text: string): string {
  const safe = /^[=+\-@\t]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
