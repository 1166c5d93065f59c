import { expect, it } from 'vitest';
import type { OperationItem } from '../api/operations.ts';
import { operationCsv } from './operation-csv.ts';

const item: OperationItem = {
  position: 1,
  server: { id: 'a', name: 'web "1", old', projectId: 'p', status: 'ACTIVE' },
  direction: 'away',
  source: { id: '1', name: 'node1' },
  planned: { id: '2', name: 'node2' },
  destination: { id: '3', name: 'node3' },
  method: 'live',
  pinned: false,
  makesRoom: false,
  state: 'failed',
  attempt: 2,
  migrationId: null,
  note: 'planned node2, went to node3',
  cause: { code: 'NoSpace', sentence: 'full\nreally', remedy: null },
  startedAt: '2026-01-01T00:00:00Z',
  finishedAt: null,
};

it('quotes what needs it, and lets no name become a formula', () => {
  const [head, first, second] = operationCsv({ items: [item, { ...item, server: { ...item.server, name: '=1+2' }, cause: null }] }).split(
    '\r\n',
  );
  expect(head).toMatch(/^position,server,id,/);
  expect(first).toBe(
    '1,"web ""1"", old",a,failed,live,node1,node2,node3,2,,2026-01-01T00:00:00Z,,"planned node2, went to node3","NoSpace: full\nreally"',
  );
  expect(second?.split(',')[1]).toBe("'=1+2");
});
