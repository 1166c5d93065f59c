import { asEpoch } from '@godwit/domain/ids';
import { expect, test } from 'vitest';
import type { StoredMigration } from '../../migration/migration-store.ts';
import { endedReport } from './ended-report.ts';
import type { QemuHost } from './qemu-host.ts';

const grant = { serverId: 's', epoch: asEpoch(2) };
/** A host whose agent has just come back, with this copy in its journal and no QEMU. */
const host = (copy: object): QemuHost => ({ custody: { state: () => ({ copy }) }, guests: { process: () => null } }) as unknown as QemuHost;
const stored = (role: string, report: object): StoredMigration => ({ role, grant, report }) as unknown as StoredMigration;
const held = { kind: 'held', grant };

test.each([
  ['taking', {}],
  ['running', { taken: 'took-alive', guestState: 'running' }],
])('a guest that died with the agent that took it is told as dead, whatever was written last (%s)', (state, more) => {
  const report = endedReport(host(held), stored('destination', { state, ...more }));
  expect(report).toMatchObject({ taken: 'took-dead', cause: 'GuestCrashedOnArrival', guestState: 'crashed' });
});

test('nothing else becomes a take: a copy of another epoch, one that only waited, a source', () => {
  const other = { kind: 'held', grant: { ...grant, epoch: asEpoch(3) } };
  expect(endedReport(host(other), stored('destination', { state: 'running', taken: 'took-alive' }))).toMatchObject({ taken: 'took-alive' });
  const granted = endedReport(host({ kind: 'granted', grant }), stored('destination', { state: 'listening' }));
  expect([granted.state, granted.taken]).toEqual(['died', undefined]);
  expect(endedReport(host(held), stored('source', { state: 'copying' }))).toMatchObject({ state: 'lost', cause: 'SourceDied' });
});
