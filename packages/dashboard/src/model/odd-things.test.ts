import { expect, it } from 'vitest';
import type { Host } from '../api/hosts.ts';
import type { Migration } from '../api/migrations.ts';
import { type OddInputs, oddThings } from './odd-things.ts';

const now = Date.parse('2026-01-01T12:00:00Z');
const ago = (seconds: number): string => new Date(now - seconds * 1000).toISOString();
const nothing: OddInputs = { now, migrations: [], hosts: [], failed: [], waiting: [], groups: [], operations: [] };
const move = (more: Partial<Migration>): Migration => ({
  id: 'm',
  apiId: 1,
  serverId: 's',
  serverName: 'web',
  type: 'live-migration',
  status: 'running',
  phase: 'copying',
  queuePosition: null,
  source: null,
  destination: null,
  memory: { totalBytes: null, processedBytes: null, remainingBytes: null },
  disk: { totalBytes: null, processedBytes: null, remainingBytes: null },
  measures: {
    blackoutMs: null,
    clockErrorMs: null,
    qemuDowntimeMs: null,
    ownShareMs: null,
    qemuTotalMs: null,
    rounds: null,
    dirtyRateBytesPerSecond: null,
    throughputBytesPerSecond: null,
  },
  phaseDurationsMs: {},
  outcome: null,
  abortRequestedAt: null,
  createdAt: ago(0),
  updatedAt: null,
  finishedAt: null,
  ...more,
});
const kinds = (inputs: Partial<OddInputs>) => oddThings({ ...nothing, ...inputs }).map(({ kind, evidence }) => `${kind}: ${evidence}`);

it('calls a move old by what such moves usually take', () => {
  const past = [10, 20, 100].map((seconds, index) =>
    move({ id: `p${index}`, status: 'completed', createdAt: ago(5000), finishedAt: ago(5000 - seconds) }),
  );
  expect(kinds({ migrations: [...past, move({ createdAt: ago(299) })] })).toEqual([]);
  expect(kinds({ migrations: [...past, move({ createdAt: ago(301) })] })).toEqual([
    'migration: copying for 5 min 1 s in all; nineteen of twenty such moves took less than 1 min 40 s.',
  ]);
  expect(kinds({ migrations: [move({ createdAt: ago(59) })] })).toEqual([]);
  expect(kinds({ migrations: [move({ createdAt: ago(61) })] })[0]).toContain('no move of this kind has completed yet');
  // A finished cold move waits for a person, not for itself.
  expect(kinds({ migrations: [move({ status: 'finished', createdAt: ago(9999) })] })).toEqual([]);
});

it('names hosts that are down with what is recorded on them', () => {
  const host = { id: 'h', name: 'node1', state: 'down', seenAt: ago(90), forcedDown: false, instances: 2 } as Host;
  expect(kinds({ hosts: [host, { ...host, id: 'u', state: 'up' }] })).toEqual([
    'host: Not heard from for 1 min 30 s; 2 instances are recorded on it.',
  ]);
});
