import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import { CustodyRefused } from '../../custody/custody-refused.ts';
import { delay } from '../../migration/deadline.ts';
import { isSpent } from '../../qemu/guest-fact.ts';
import { stopGuest } from './guest-lifecycle.ts';
import type { QemuHost } from './qemu-host.ts';

/** Between two tries, while an operation (a soft reboot resets the same QEMU) or a move decides what becomes of the guest. */
const tryEveryMs = 1_000;

/**
 * Ends the QEMU of a guest that is spent, as a user's stop would, once nothing else is under way on it: it holds memory, and its next start, which is a new grant, would find an older
 * copy here. Starts nothing. Resolves when the QEMU is gone, or when the guest runs again (an operation wanted the same QEMU).
 */
export async function endSpentGuest(host: QemuHost, serverId: ServerId): Promise<void> {
  const { custody, guests } = host;
  while (guests.process(serverId) !== null && isSpent(guests.fact(serverId))) {
    const { copy, fence } = custody.state(serverId);
    if (copy.kind === 'held' && copy.alive && guests.report(serverId).migrationId === null) {
      try {
        await host.exclusive(serverId, async () => {
          if (!isSpent(guests.fact(serverId))) return;
          await stopGuest(host, { serverId, fence, epoch: copy.grant.epoch }, 0);
        });
      } catch (error) {
        // Busy, or custody does not allow it now: whoever is at it may have need of this QEMU.
        const expected = error instanceof CustodyRefused || (error instanceof GodwitError && error.code === 'Conflict');
        if (!expected) host.log.warn({ err: error, serverId }, 'the QEMU of a guest that has ended could not be ended yet');
      }
    }
    await delay(tryEveryMs);
  }
}
