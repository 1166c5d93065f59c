import { afterAll, expect, test } from 'vitest';
import { plugVcpu, presentVcpus } from '../../qemu/vcpu-devices.ts';
import { SCALING_BEHAVIOURS, type ScalingBehaviour } from './scaling-behaviours.ts';
import { migrate, TinyLab, type TinyQemu } from './tiny-qemu.ts';

const tested = new Set<string>();
const conforms = (behaviour: ScalingBehaviour, run: (lab: TinyLab) => Promise<void>): void => {
  tested.add(behaviour);
  test(`${behaviour}: ${SCALING_BEHAVIOURS[behaviour]}`, { timeout: 30_000 }, async () => {
    await using lab = new TinyLab();
    await expect(run(lab)).resolves.toBeUndefined();
  });
};
afterAll(() => {
  expect(Object.keys(SCALING_BEHAVIOURS).filter((name) => !tested.has(name))).toEqual([]);
});

const oneThread = ['-accel', 'tcg,thread=single,tb-size=4'];
/** As qemu/command-line.ts makes such a machine. */
const scalable = (vcpus: number): readonly string[] => [...oneThread, '-smp', `${vcpus},maxcpus=4,sockets=1,cores=4,threads=1`];
const fixed = (vcpus: number): readonly string[] => [...oneThread, '-smp', `${vcpus},sockets=1,cores=${vcpus},threads=1`];

/** A guest that runs with one vCPU, and was given a second. */
async function grown(lab: TinyLab): Promise<TinyQemu> {
  const source = await lab.running(scalable(1));
  await plugVcpu(source.qmp);
  expect(await presentVcpus(source.qmp)).toBe(2);
  return source;
}

conforms('plugged-vcpu-loads-as-present', async (lab) => {
  const [source, destination] = [await grown(lab), await lab.listening(scalable(2))];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
  await destination.qmp.execute('cont');
  for (const vcpus of [3, 4]) {
    await plugVcpu(destination.qmp);
    expect(await presentVcpus(destination.qmp)).toBe(vcpus);
  }
  await destination.shows({ runstate: 'running' });
});

conforms('missing-vcpu-fails', async (lab) => {
  const [source, destination] = [await grown(lab), await lab.listening(scalable(1))];
  await migrate(source, destination);
  await source.shows({ runstate: 'running', migration: 'failed' });
});

conforms('surplus-vcpu-is-not-noticed', async (lab) => {
  const [source, destination] = [await grown(lab), await lab.listening(scalable(3))];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
  expect(await presentVcpus(destination.qmp)).toBe(3);
});

conforms('other-places-are-not-noticed', async (lab) => {
  const [source, destination] = [await grown(lab), await lab.listening(fixed(2))];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
});

conforms('queues-follow-vcpus', async (lab) => {
  const disk = (more = ''): readonly string[] => [
    '-blockdev',
    'null-co,node-name=d,read-zeroes=on',
    '-device',
    `virtio-blk-pci,drive=d${more}`,
  ];
  for (const [queues, ends] of [
    ['', { runstate: 'running', migration: 'failed' }],
    [',num-queues=4', { runstate: 'postmigrate', migration: 'completed' }],
  ] as const) {
    const source = await lab.running([...scalable(1), ...disk(queues)]);
    await plugVcpu(source.qmp);
    await migrate(source, await lab.listening([...scalable(2), ...disk(queues)]));
    await source.shows(ends);
  }
});

conforms('reset-keeps-vcpus', async (lab) => {
  const source = await grown(lab);
  const reset = new Promise<void>((resolve) => source.qmp.on(({ event }) => event === 'RESET' && resolve()));
  await source.qmp.execute('system_reset');
  await reset;
  expect(await presentVcpus(source.qmp)).toBe(2);
});
