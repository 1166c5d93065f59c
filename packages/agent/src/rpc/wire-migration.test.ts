import { create } from '@bufbuild/protobuf';
import { MigrationPolicySchema } from '@godwit/contract/gen/migration_pb';
import { postCopyRefusal } from '@godwit/domain/convergence/policy';
import { expect, test } from 'vitest';
import type { IncomingReady } from '../drivers/host-driver.ts';
import type { MigrationReport } from '../drivers/migration-report.ts';
import { migrationReportToWire, policyFromWire, readyToWire } from './wire-migration.ts';

test('an order that allows post-copy is refused, steered or not', () => {
  for (const largestBlackoutMs of [0n, 300n]) {
    const wire = (postCopyAllowed: boolean) => create(MigrationPolicySchema, { largestBlackoutMs, deadlineMs: 5_000n, postCopyAllowed });
    expect(() => policyFromWire(wire(true))).toThrow(
      expect.objectContaining({ code: 'PostCopyUnsafe', message: postCopyRefusal.sentence }),
    );
    expect(policyFromWire(wire(false)).convergence?.postCopyAllowed ?? false).toBe(false);
  }
});

// An agent that takes over tells of every move of the last day, in the very words of the one before it.
test('an account that an earlier agent stored, knowing of one stream only, is told', () => {
  const stored = `{"migrationId":"m","serverId":"s","role":"source","epoch":2,"state":"released","qemuStatus":"completed",
    "ram":{"totalBytes":100,"transferredBytes":90,"remainingBytes":0,"dirtyPagesRate":0,"dirtySyncCount":3,"pageSize":4096,"mbps":800},
    "disks":[],"timeline":[],"cause":null,"detail":"","guestState":"released","stoppedAtMs":1,"completedAtMs":2,"resumedAtMs":null,
    "clockOffsetMs":0,"clockErrorMs":0,"qemuDowntimeMs":9,"qemuTotalMs":90,"networkVerified":false,"taken":null}`;
  const told = migrationReportToWire(JSON.parse(stored) as MigrationReport);
  expect(told.ram).toMatchObject({ totalBytes: 100n, transferredBytes: 90n, memoryBytes: 0n });
  expect(told.linkBytesPerSecond).toBe(0);
  const ready = `{"migrationId":"m","ramAddress":"10.0.0.2","ramPort":49152,"nbdPort":0,"overlayDiskIds":[],"nbdPlain":false,"ramPlain":false,
    "machineType":"pc-q35-10.0","cpuModel":"max","preparedMs":1}`;
  expect(readyToWire(JSON.parse(ready) as IncomingReady)).toMatchObject({ memoryStream: 'single', memoryStreamWhy: '' });
});
