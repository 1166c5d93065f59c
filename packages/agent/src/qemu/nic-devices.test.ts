import type { GuestSpec, NicSpec } from '@godwit/domain/guest-spec';
import { as, type NetworkId, type PortId } from '@godwit/domain/ids';
import { describe, expect, it } from 'vitest';
import { machineDevices, refuseOtherDevices } from './nic-devices.ts';
import type { QmpClient } from './qmp-client.ts';

const nic = (slot: number): NicSpec => ({
  portId: as<PortId>(`port-${slot}`),
  mac: `fa:16:3e:00:00:0${slot}`,
  tapName: `tap${slot}`,
  networkId: as<NetworkId>('network'),
  slot,
});
/** A guest of this layout whose QEMU has cards in the places of `runs`. */
const guest = (deviceLayout: 1 | 2, places: readonly number[], runs = places) => ({
  spec: { deviceLayout, nics: places.map(nic) } as unknown as GuestSpec,
  qmp: { execute: () => Promise.resolve(runs.map((slot) => ({ name: `nic${slot}` }))) } as unknown as QmpClient,
});

/** One of at most four vCPUs, whose QEMU has as many as `runs` says. */
const scalable = (vcpus: number, runs = vcpus) => {
  const { spec, qmp } = guest(2, [0]);
  const places = [0, 1, 2, 3].map((core) => ({ props: { 'core-id': core }, ...(core < runs && { 'qom-path': `/machine/${core}` }) }));
  const execute = async (command: string) => (command === 'query-hotpluggable-cpus' ? places : qmp.execute(command));
  return { spec: { ...spec, vcpus, maxVcpus: 4 }, qmp: { execute } as unknown as QmpClient };
};

/** Of 96 MiB with a place for more. */
const growing = (maxRamMib: number, addedRamMib = 0) => {
  const { spec, qmp } = guest(2, [0]);
  return { spec: { ...spec, ramMib: 96, maxRamMib, addedRamMib }, qmp };
};

describe('the comparison of two machines before a move', () => {
  it('lets the same machine pass', async () => {
    const source = guest(2, [0, 2]);
    for (const one of [source, scalable(3), growing(224)])
      await expect(refuseOtherDevices(one, machineDevices(one.spec))).resolves.toBeUndefined();
  });

  it.each([
    ['another layout', guest(2, [0]), machineDevices(guest(1, [0]).spec), /here: layout 2.*there: layout 1/],
    ['a card more', guest(2, [0]), machineDevices(guest(2, [0, 1]).spec), /there: layout 2.*port-1 in place 1/],
    ['a card that QEMU does not have', guest(2, [0, 1], [0]), machineDevices(guest(2, [0, 1]).spec), /runs with cards in places 0/],
    ['a vCPU more', scalable(2), machineDevices(scalable(3).spec), /has 2 of 4 vCPUs.*at the destination 3 of 4 vCPUs/],
    [
      'a vCPU that QEMU was given without a note',
      scalable(2, 3),
      machineDevices(scalable(2).spec),
      /has 3 of 4 vCPUs.*at the destination 2/,
    ],
    ['a machine without places for vCPUs', scalable(2), machineDevices(guest(2, [0]).spec), /2 of 4 vCPUs.*destination no places for more/],
    ['places for vCPUs that the guest does not know', guest(2, [0]), machineDevices(scalable(2).spec), /has no places.*destination 2 of 4/],
    ['vCPUs, and a destination that does not tell', scalable(1), undefined, /1 of 4 vCPUs/],
    ['another place for memory', growing(224), machineDevices(growing(352).spec), /96 to 224 MiB of memory.*destination 96 to 352/],
    [
      'a machine without a place for memory',
      growing(224),
      machineDevices(guest(2, [0]).spec),
      /96 to 224 MiB.*destination no place for more/,
    ],
    [
      'a place for memory that the guest does not know',
      guest(2, [0]),
      machineDevices(growing(224).spec),
      /has no place.*destination 96 to/,
    ],
    ['the second layout, and a destination that does not tell', guest(2, [0]), '', /builds layout 1/],
    ['cards with a gap, and a destination that does not tell', guest(1, [0, 2]), undefined, /one after the other/],
  ])('refuses %s', async (_what, source, destination, words) => {
    await expect(refuseOtherDevices(source, destination)).rejects.toMatchObject({
      code: 'MigrationPreCheck',
      message: expect.stringMatching(words),
    });
  });

  it('lets a machine pass that waits with another amount of added memory: the stream has it', async () => {
    await expect(refuseOtherDevices(growing(224, 64), machineDevices(growing(224).spec))).resolves.toBeUndefined();
  });

  it('takes a destination that does not tell for one that builds the first layout', async () => {
    for (const silent of ['', undefined]) await expect(refuseOtherDevices(guest(1, [0, 1]), silent)).resolves.toBeUndefined();
  });
});
