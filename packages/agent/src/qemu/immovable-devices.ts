import { GodwitError } from '@godwit/domain/errors';
import type { QmpClient } from './qmp-client.ts';

/**
 * Why the guest in this QEMU cannot be moved, in QEMU's own words, each with its device: a passed-through one by its PCI address, any other by its place and name. QEMU lists both what a device
 * has declared (`migrate_add_blocker`, as VFIO does) and the devices whose state it cannot save. Empty: nothing stands in the way. Asked without a migration under way. Throws what the monitor throws.
 */
export async function immovableDevices(qmp: Pick<QmpClient, 'execute'>, timeoutMs = 5_000): Promise<readonly string[]> {
  const answer = (await qmp.execute('query-migrate', undefined, { timeoutMs })) as { readonly 'blocked-reasons'?: readonly string[] };
  return answer['blocked-reasons'] ?? [];
}

/** Throws DeviceCannotMove, naming every such device, before anything is sent or changed. */
export async function refuseImmovable(qmp: Pick<QmpClient, 'execute'>): Promise<void> {
  const reasons = await immovableDevices(qmp);
  if (reasons.length > 0)
    throw new GodwitError(
      'DeviceCannotMove',
      `the guest has what cannot be moved: ${reasons.join('; ')}. Detach it, or stop the server and migrate it cold.`,
    );
}
