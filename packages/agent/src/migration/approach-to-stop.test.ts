import type { MemoryStream } from '@godwit/domain/memory-stream';
import { expect, test } from 'vitest';
import type { QemuHost } from '../drivers/qemu/qemu-host.ts';
import type { GuestProcess } from '../qemu/guest-process.ts';
import { ApproachToStop } from './approach-to-stop.ts';
import type { MigrationRecord } from './migration-record.ts';
import type { Outgoing } from './outgoing.ts';
import type { PeerLink } from './peer-link.ts';
import { eagerDowntimeLimitMs } from './switch-timing.ts';

const approach = (stream: MemoryStream, restored: boolean) => {
  const told: unknown[] = [];
  const qmp = { execute: async (_command: string, given: Readonly<Record<string, unknown>>) => told.push(given['downtime-limit']) };
  const made = new ApproachToStop(
    { config: {}, tools: {} } as unknown as QemuHost,
    { qmp, spec: { nics: [] } } as unknown as GuestProcess,
    { grant: { migrationId: 'm' }, ready: { stream: { used: stream, why: '' } }, policy: { downtimeLimitMs: 300 } } as Outgoing,
    { ended: false } as MigrationRecord,
    {} as PeerLink,
    restored,
  );
  return { made, told };
};

test('QEMU is told of a stream that carries more, and of one that does not any more', () => {
  const { made, told } = approach('zstd', false);
  for (const each of [1, 3, 3.1, 1]) made.carries(each);
  expect(told).toEqual([eagerDowntimeLimitMs * 3, eagerDowntimeLimitMs]);
});

test('an agent that takes over a compressed copy takes back what the one before it may have told QEMU', () => {
  const { made, told } = approach('zstd', true);
  for (const each of [1, 1]) made.carries(each);
  expect(told).toEqual([eagerDowntimeLimitMs]);
  const plain = approach('single', true);
  plain.made.carries(1);
  expect(plain.told).toEqual([]);
});
