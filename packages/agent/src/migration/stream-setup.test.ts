import { expect, test } from 'vitest';
import type { MigrationPolicy } from '../drivers/host-driver.ts';
import type { QmpClient } from '../qemu/qmp-client.ts';
import { setUpOutgoing } from './stream-setup.ts';

test.each([
  [
    'left on by a saved memory that was given up',
    [{ capability: 'mapped-ram', state: true }],
    [{ capability: 'mapped-ram', state: false }],
  ],
  ['off', [{ capability: 'mapped-ram', state: false }], []],
  ['unknown to an older QEMU', [{ capability: 'events', state: false }], []],
])('a move takes writing in place back, and names it to no QEMU else: it is %s', async (_, known, taken) => {
  const set: { capability: string; state: boolean }[] = [];
  const qmp = {
    execute: async (command: string, given: { capabilities?: typeof set } = {}) => {
      set.push(...(given.capabilities ?? []));
      return command === 'query-migrate-capabilities' ? known : {};
    },
  } as unknown as QmpClient;
  await setUpOutgoing(qmp, {
    migrationId: '11111111-1111-4111-8111-111111111111',
    tlsDir: '/tls',
    plain: true,
    stream: 'single',
    address: '10.0.0.2',
    policy: { maxBandwidthBytes: 0 } as MigrationPolicy,
    downtimeLimitMs: 300,
    pauseBeforeSwitchover: false,
  });
  expect(set.filter(({ capability }) => capability === 'mapped-ram')).toEqual(taken);
  expect(set).toContainEqual({ capability: 'return-path', state: true });
});
