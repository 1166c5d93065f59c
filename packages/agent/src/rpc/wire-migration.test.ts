import { create } from '@bufbuild/protobuf';
import { MigrationPolicySchema } from '@godwit/contract/gen/migration_pb';
import { postCopyRefusal } from '@godwit/domain/convergence/policy';
import { expect, test } from 'vitest';
import { policyFromWire } from './wire-migration.ts';

test('an order that allows post-copy is refused, steered or not', () => {
  for (const largestBlackoutMs of [0n, 300n]) {
    const wire = (postCopyAllowed: boolean) => create(MigrationPolicySchema, { largestBlackoutMs, deadlineMs: 5_000n, postCopyAllowed });
    expect(() => policyFromWire(wire(true))).toThrow(
      expect.objectContaining({ code: 'PostCopyUnsafe', message: postCopyRefusal.sentence }),
    );
    expect(policyFromWire(wire(false)).convergence?.postCopyAllowed ?? false).toBe(false);
  }
});
