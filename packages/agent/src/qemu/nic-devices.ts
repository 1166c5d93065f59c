import { GodwitError } from '@godwit/domain/errors';
import { type GuestSpec, type NicSpec, slotOf } from '@godwit/domain/guest-spec';
import { netdevId, nicBackend, nicDevice, nicFrontend } from './command-line.ts';
import type { GuestProcess } from './guest-process.ts';
import { type QmpClient, QmpCommandError, QmpTimeout } from './qmp-client.ts';
import { presentVcpus } from './vcpu-devices.ts';

export type PlacedNic = NicSpec & { readonly slot: number };

/** The guest takes its card out of use first: a busy Linux under TCG needs a second. */
const unplugMs = 20_000;

export const placedNics = ({ nics }: Pick<GuestSpec, 'nics'>): readonly PlacedNic[] =>
  nics.map((nic, position) => ({ ...nic, slot: slotOf(nic, position) }));

/** The places in which this QEMU has a network card now. */
export async function occupiedSlots(qmp: Pick<QmpClient, 'execute'>): Promise<ReadonlySet<number>> {
  const devices = (await qmp.execute('qom-list', { path: '/machine/peripheral' })) as readonly { readonly name: string }[];
  return new Set(devices.flatMap(({ name }) => /^nic(\d+)$/.exec(name)?.[1] ?? []).map(Number));
}

const agentChannel = 'a guest-agent channel';
const vcpuPlaces = (vcpus: number, most: number): string => `${vcpus} of ${most} vCPUs`;
const vcpusTold = (machine: string | undefined): string | null => /\d+ of \d+ vCPUs/.exec(machine ?? '')?.[0] ?? null;

const memoryPlace = ({ ramMib, maxRamMib }: Pick<GuestSpec, 'ramMib' | 'maxRamMib'>): string => `${ramMib} to ${maxRamMib} MiB of memory`;
const memoryTold = (machine: string | undefined): string | null => /\d+ to \d+ MiB of memory/.exec(machine ?? '')?.[0] ?? null;

/** Layout, channel, cards, vCPUs and place for memory (of one that can be given more) of a machine: two that say the same load each other's streams, as far as those go. */
export const machineDevices = (
  spec: Pick<GuestSpec, 'nics' | 'deviceLayout' | 'guestAgent' | 'vcpus' | 'maxVcpus' | 'ramMib' | 'maxRamMib'>,
): string =>
  [
    `layout ${spec.deviceLayout}`,
    ...(spec.guestAgent ? [agentChannel] : []),
    ...placedNics(spec)
      .map(({ portId, slot }) => `${portId} in place ${slot}`)
      .toSorted(),
    ...(spec.maxVcpus === undefined ? [] : [vcpuPlaces(spec.vcpus, spec.maxVcpus)]),
    // How much of it the guest was given is in the stream.
    ...(spec.maxRamMib === undefined ? [] : [memoryPlace(spec)]),
  ].join(', ');

/**
 * Throws MigrationPreCheck when the machine that waits for this guest has not the same cards, or this QEMU not those of its spec: QEMU loads a stream although a device of the destination has no part in
 * it, and the guest would arrive with a card that it never saw. As with a vCPU more (conformance: surplus-vcpu-is-not-noticed).
 */
export async function refuseOtherDevices(process: Pick<GuestProcess, 'spec' | 'qmp'>, destination: string | undefined): Promise<void> {
  const slots = await occupiedSlots(process.qmp);
  const { maxVcpus } = process.spec;
  // QEMU's word, as for the cards: the spec may be of before an order that was given up.
  const own = machineDevices(maxVcpus === undefined ? process.spec : { ...process.spec, vcpus: await presentVcpus(process.qmp) });
  const placed = placedNics(process.spec);
  const differs = (what: string): GodwitError =>
    new GodwitError(
      'MigrationPreCheck',
      `the guest's network cards are not those of its ports (${what}): attach or detach an interface again, or stop the server and start it`,
    );
  if (placed.length !== slots.size || placed.some(({ slot }) => !slots.has(slot)))
    throw differs(`it runs with cards in places ${[...slots].toSorted().join(', ') || 'none'}, and should with ${own}`);
  if (process.spec.guestAgent === true && !(destination ?? '').includes(agentChannel))
    throw new GodwitError(
      'MigrationPreCheck',
      `the guest has ${agentChannel}, and the machine that waits for it at the destination has none: update the agent there`,
    );
  const [here, there] = [vcpusTold(own), vcpusTold(destination)];
  if (here !== there)
    throw new GodwitError(
      'MigrationPreCheck',
      `the guest has ${here ?? 'no places for more vCPUs'}, and the machine that waits for it at the destination ${there ?? 'no places for more'}: ${here === null || there === null ? '' : 'scale the server again, or '}stop it and start it`,
    );
  const [memoryHere, memoryThere] = [memoryTold(own), memoryTold(destination)];
  if (memoryHere !== memoryThere)
    throw new GodwitError(
      'MigrationPreCheck',
      `the guest has ${memoryHere ?? 'no place for more memory'}, and the machine that waits for it at the destination ${memoryThere ?? 'no place for more'}: ${memoryThere === null ? 'update the agent there, or ' : ''}stop the server and start it`,
    );
  if (destination === undefined || destination === '') {
    // An agent that does not tell builds the first layout, with cards one after the other.
    if (process.spec.deviceLayout !== 1 || placed.some(({ slot }, position) => slot !== position))
      throw differs(`here: ${own}; the destination's agent does not tell, and builds layout 1 with cards one after the other`);
  } else if (destination !== own) throw differs(`here: ${own}; there: ${destination}`);
}

/** Gives a running machine a card whose tap is ready. Harmless to repeat. Throws what QEMU says; nothing is left then. */
export async function plugNic({ qmp, spec }: Pick<GuestProcess, 'qmp' | 'spec'>, nic: PlacedNic): Promise<void> {
  await qmp.execute('netdev_add', nicBackend(nic, nic.slot, false)).catch((error: unknown) => {
    // An agent that died between the two commands has left it.
    if (!(error instanceof QmpCommandError && /Duplicate ID/i.test(error.desc))) throw error;
  });
  try {
    await qmp.execute('device_add', nicFrontend(spec, nic, nic.slot));
  } catch (error) {
    await removeBackend(qmp, nic.slot).catch(() => undefined);
    throw error;
  }
}

/**
 * Takes a card out of a running machine: asks the guest, which takes it out of use, and then its backend. Harmless to repeat. Throws InvalidState when the guest does not give it up in time: it still
 * has the card then, and may give it up later.
 */
export async function unplugNic({ qmp }: Pick<GuestProcess, 'qmp'>, slot: number): Promise<void> {
  const device = nicDevice(slot);
  if ((await occupiedSlots(qmp)).has(slot)) {
    const answered = qmp.next(
      ({ event, data }) => data['device'] === device && (event === 'DEVICE_DELETED' || event === 'DEVICE_UNPLUG_GUEST_ERROR'),
      unplugMs,
    );
    answered.catch(() => undefined); // whoever waits below gets it
    await qmp.execute('device_del', { id: device }).catch((error: unknown) => {
      // Asked for before, and not done yet.
      if (!(error instanceof QmpCommandError && /already in the process of unplug/.test(error.desc))) throw error;
    });
    const { event } = await answered.catch((error: unknown) => {
      if (error instanceof QmpTimeout)
        throw new GodwitError(
          'InvalidState',
          `the guest has not given up its network card within ${unplugMs / 1000} s`,
          {},
          { cause: error },
        );
      throw error;
    });
    if (event !== 'DEVICE_DELETED') throw new GodwitError('InvalidState', 'the guest does not give up its network card');
  }
  await removeBackend(qmp, slot);
}

async function removeBackend(qmp: Pick<QmpClient, 'execute'>, slot: number): Promise<void> {
  await qmp.execute('netdev_del', { id: netdevId(slot) }).catch((error: unknown) => {
    if (!(error instanceof QmpCommandError && error.class === 'DeviceNotFound')) throw error;
  });
}
