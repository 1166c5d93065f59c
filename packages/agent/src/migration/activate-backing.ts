import type { DiskSpec } from '@godwit/domain/guest-spec';
import { backingNode } from '../qemu/command-line.ts';
import type { QmpClient } from '../qemu/qmp-client.ts';

/**
 * Lets an incoming QEMU read the headers of the images below the guest's disks now. It would do so again in `cont`, while the guest stands still, and each costs almost half a
 * millisecond there. They are read-only and written by nobody, so nothing of custody depends on when; the disks themselves wait for the take (conformance: late-activation-waits-for-cont).
 * Throws what QEMU says.
 */
export async function activateBacking(qmp: Pick<QmpClient, 'execute'>, disks: readonly DiskSpec[]): Promise<void> {
  await Promise.all(
    disks.flatMap(({ backing }, index) =>
      backing ? [qmp.execute('blockdev-set-active', { 'node-name': backingNode(index, 1), active: true })] : [],
    ),
  );
}
