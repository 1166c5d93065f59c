import { expect, it } from 'vitest';
import type { Server } from '../api/servers.ts';
import type { StuckThing } from '../api/stuck.ts';
import { oddThings } from './odd-things.ts';

const stuck = (kind: StuckThing['kind'], type: StuckThing['subject']['type']): StuckThing => ({
  kind,
  subject: { type, id: 'i', name: 'n' },
  sentence: 'It hangs.',
  evidence: ['seen'],
  since: null,
  action: { sentence: 'Wait.', request: null },
});

it('leads from each thing to its own page', () => {
  const rows = oddThings({
    stuck: [stuck('late-migration', 'migration'), stuck('leaked-claim', 'server'), stuck('silent-host', 'host')],
    failed: [{ id: 's', name: 'web', updated: '2026-01-01T00:00:00Z' } as Server],
    groups: [],
  });
  expect(rows.map(({ path, search }) => [path, search])).toEqual([
    ['/admin/migrations/i', {}],
    ['/admin/instances/i', {}],
    ['/admin/instances', { host: 'n' }],
    ['/admin/instances/s', {}],
  ]);
  expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
});
