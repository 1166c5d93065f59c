import { expect, it, test } from 'vitest';
import { growthRefusal, plugVcpu, presentVcpus } from './vcpu-devices.ts';

/** A QEMU with places for four, told in its own order: the last first. */
function qemu(...present: readonly number[]) {
  const taken = new Set(present);
  const plugged: Record<string, unknown>[] = [];
  const execute = async (command: string, args?: Record<string, unknown>): Promise<unknown> => {
    if (command === 'query-hotpluggable-cpus')
      return [3, 2, 1, 0].map((core) => ({
        type: 'Nehalem-v1-x86_64-cpu',
        'vcpus-count': 1,
        props: { 'core-id': core, 'thread-id': 0, 'socket-id': 0 },
        ...(taken.has(core) && { 'qom-path': `/machine/unattached/device[${core}]` }),
      }));
    taken.add(Number(args?.['core-id']));
    plugged.push(args ?? {});
    return {};
  };
  return { plugged, qmp: { execute } };
}

test('the next free place is filled, so that a destination which starts with as many has the same ones', async () => {
  const { qmp, plugged } = qemu(0);
  await plugVcpu(qmp);
  await plugVcpu(qmp);
  expect(plugged).toEqual(
    [1, 2].map((core) => ({ driver: 'Nehalem-v1-x86_64-cpu', id: `cpu${core}`, 'core-id': core, 'thread-id': 0, 'socket-id': 0 })),
  );
  expect(await presentVcpus(qmp)).toBe(3);
});

test('a machine whose places are all taken is given none', async () => {
  const { qmp, plugged } = qemu(0, 1, 2, 3);
  await expect(plugVcpu(qmp)).rejects.toMatchObject({ code: 'HotPlugUnsupported' });
  expect(plugged).toEqual([]);
});

it.each([
  [{ vcpus: 2, maxVcpus: 4 }, 4, null, null],
  [{ vcpus: 2, maxVcpus: 4 }, 2, null, null],
  [{ vcpus: 2 }, 2, null, null],
  [{ vcpus: 2, maxVcpus: 4 }, 5, 'HotPlugUnsupported', /places for 4 vCPUs, not 5/],
  [{ vcpus: 2 }, 3, 'HotPlugUnsupported', /without places/],
  [{ vcpus: 2, maxVcpus: 4 }, 1, 'InvalidState', /has 2 vCPUs, and none is taken from a guest that runs: stop it for 1/],
] as const)('a machine with %o asked for %i: %s', (machine, wanted, code, words) => {
  const refused = growthRefusal(machine, wanted);
  expect(refused?.code ?? null).toBe(code);
  if (words !== null) expect(refused?.message).toMatch(words);
});
