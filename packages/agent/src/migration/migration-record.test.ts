import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { expect, test, vi } from 'vitest';
import { HostEvents } from '../drivers/host-events.ts';
import { MigrationRecord } from './migration-record.ts';

const grant = {
  serverId: as<ServerId>('s'),
  migrationId: as<MigrationId>('m'),
  source: as<HostId>('a'),
  destination: as<HostId>('b'),
  epoch: asEpoch(2),
  previousEpoch: asEpoch(1),
  fence: asFence(1),
  endState: 'running',
  bootId: as<BootId>('boot'),
  postCopy: false,
} as const;

test('a state is told at once, progress is thinned, and an end is final', () => {
  let now = 1_000;
  const events = new HostEvents(() => now);
  const told: string[] = [];
  events.on(({ event }) => event.kind === 'migration' && told.push(event.migration.state));
  const record = new MigrationRecord(grant, 'source', 'armed', events, () => now);
  record.become('copying');
  for (let turn = 0; turn < 10; turn += 1) {
    now += 50;
    record.note({ qemuStatus: `look ${turn}` });
  }
  record.fail('failed', 'StreamFailed', 'the stream broke', { guestState: 'running' });
  record.become('released');
  expect(told).toEqual(['copying', 'copying', 'copying', 'failed']);
  expect(record.report).toMatchObject({ state: 'failed', cause: 'StreamFailed', detail: 'the stream broke', qemuStatus: 'look 9' });
  expect(record.report.timeline.map(({ what }) => what)).toEqual(['armed', 'copying', 'failed']);
});

test('while it is hushed only an end is told, and what has waited is told once', () => {
  vi.useFakeTimers();
  const events = new HostEvents(() => 0);
  const told: string[] = [];
  events.on(({ event }) => event.kind === 'migration' && told.push(event.migration.state));
  const record = new MigrationRecord(grant, 'destination', 'listening', events, () => 0);
  record.hush(100);
  record.become('loaded');
  record.tell();
  expect(told).toEqual([]);
  vi.advanceTimersByTime(100);
  expect(told).toEqual(['loaded']);
  record.hush(100);
  record.speak();
  record.hush(100);
  record.become('running');
  expect(told).toEqual(['loaded', 'running']);
  record.speak();
  expect(told).toEqual(['loaded', 'running']);
  record.hush(30, 'everything');
  record.tell();
  expect(told).toHaveLength(2);
  vi.advanceTimersByTime(30);
  expect(told).toEqual(['loaded', 'running', 'running']);
  vi.useRealTimers();
});
