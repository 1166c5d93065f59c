import { GodwitError } from '@godwit/domain/errors';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import type { QmpClient } from './qmp-client.ts';

type Place = { readonly type: string; readonly props: Readonly<Record<string, number>>; readonly 'qom-path'?: string };

/** Places for vCPUs of a machine, in the order in which they are filled: a destination that starts with n vCPUs has the first n. */
async function places(qmp: Pick<QmpClient, 'execute'>): Promise<readonly Place[]> {
  const all = (await qmp.execute('query-hotpluggable-cpus')) as readonly Place[];
  return all.toSorted((a, b) => coreOf(a) - coreOf(b));
}
const coreOf = ({ props }: Place): number => props['core-id'] ?? 0;

/** How many vCPUs this QEMU has now. */
export const presentVcpus = async (qmp: Pick<QmpClient, 'execute'>): Promise<number> =>
  (await places(qmp)).filter((place) => place['qom-path'] !== undefined).length;

/** Gives a machine its next vCPU. Throws what QEMU says (nothing is changed then), HotPlugUnsupported when every place is taken. */
export async function plugVcpu(qmp: Pick<QmpClient, 'execute'>): Promise<void> {
  const free = (await places(qmp)).find((place) => place['qom-path'] === undefined);
  if (free === undefined) throw new GodwitError('HotPlugUnsupported', 'every place for a vCPU of this machine is taken');
  await qmp.execute('device_add', { driver: free.type, id: `cpu${coreOf(free)}`, ...free.props });
}

/**
 * Why a running machine cannot have so many vCPUs; null: it can. Fewer are refused whatever the guest says: QEMU 10.0 under TCG aborts when its guest gives one up (seen with Linux, with one thread and with
 * several), and the guest dies with it.
 */
export function growthRefusal({ vcpus, maxVcpus }: Pick<GuestSpec, 'vcpus' | 'maxVcpus'>, wanted: number): GodwitError | null {
  if (wanted === vcpus) return null;
  if (wanted < vcpus)
    return new GodwitError('InvalidState', `the guest has ${vcpus} vCPUs, and none is taken from a guest that runs: stop it for ${wanted}`);
  if (maxVcpus === undefined)
    return new GodwitError('HotPlugUnsupported', 'this machine was started without places for more vCPUs: stop the server and start it');
  if (wanted > maxVcpus)
    return new GodwitError('HotPlugUnsupported', `this machine was started with places for ${maxVcpus} vCPUs, not ${wanted}`);
  return null;
}
