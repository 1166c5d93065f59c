import { afterAll, expect, test } from 'vitest';
import { addedMemory, askForMemory } from '../../qemu/memory-device.ts';
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

/** As qemu/command-line.ts makes it: 16 MiB less two pages, and a place that comes first. */
const withPlace = (placeMib: number, askedMib = 0, mapped = ',dynamic-memslots=on,unplugged-inaccessible=on'): readonly string[] => [
  '-m',
  `size=16376K,maxmem=${16_376 + placeMib * 1024}K`,
  '-machine',
  'memory-backend=ram0',
  ...['-object', `memory-backend-memfd,id=ram1,size=${placeMib}M,share=on,reserve=off`],
  ...['-object', 'memory-backend-memfd,id=ram0,size=16376K,share=on'],
  '-device',
  `virtio-mem-pci,id=memory0,memdev=ram1,block-size=2M,requested-size=${askedMib}M,addr=0x5${mapped}`,
];
const memory = ({ qmp }: TinyQemu) => addedMemory(qmp);

conforms('asked-memory-is-stored', async (lab) => {
  const source = await lab.running(withPlace(65_536, 64));
  expect(await memory(source)).toEqual({ askedMib: 64, hasMib: 0 });
  for (const askedMib of [65_536, 2, 0]) {
    await askForMemory(source.qmp, askedMib);
    expect(await memory(source)).toEqual({ askedMib, hasMib: 0 });
  }
  await expect(askForMemory(source.qmp, 1)).rejects.toThrow(/multiple/);
  await expect(askForMemory(source.qmp, 65_538)).rejects.toThrow(/exceed/);
  await askForMemory(source.qmp, 64);
  const reset = new Promise<void>((resolve) => source.qmp.on(({ event }) => event === 'RESET' && resolve()));
  await source.qmp.execute('system_reset');
  await reset;
  expect(await memory(source)).toEqual({ askedMib: 64, hasMib: 0 });
});

conforms('memory-loads-as-asked', async (lab) => {
  const [source, destination] = [await lab.running(withPlace(128, 64)), await lab.listening(withPlace(128, 2))];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
  expect(await memory(destination)).toEqual({ askedMib: 64, hasMib: 0 });
  await destination.qmp.execute('cont');
  await askForMemory(destination.qmp, 128);
  expect(await memory(destination)).toEqual({ askedMib: 128, hasMib: 0 });
});

conforms('missing-place-fails', async (lab) => {
  for (const other of [withPlace(128).slice(0, -2), withPlace(256)]) {
    const [source, destination] = [await lab.running(withPlace(128)), await lab.listening(other)];
    await migrate(source, destination);
    await source.shows({ runstate: 'running', migration: 'failed' });
  }
});

conforms('surplus-place-is-not-noticed', async (lab) => {
  const without = ['-m', '16376K', '-machine', 'memory-backend=ram0', '-object', 'memory-backend-memfd,id=ram0,size=16376K,share=on'];
  const [source, destination] = [await lab.running(without), await lab.listening(withPlace(128))];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
});

conforms('place-begins-at-zero', async (lab) => {
  const { qmp } = await lab.start({ extra: withPlace(128) });
  const blocks = String(await qmp.execute('human-monitor-command', { 'command-line': 'info ramblock' }));
  const block = (name: string) =>
    new RegExp(`${name}\\s+4 KiB\\s+0x(\\w+)\\s+0x(\\w+)`)
      .exec(blocks)
      ?.slice(1)
      .map((hex) => Number.parseInt(hex, 16));
  expect(block('ram1')).toEqual([0, 128 * 2 ** 20]);
  expect(block('ram0')).toEqual([128 * 2 ** 20, 16 * 2 ** 20 - 8192]);
});

conforms('place-is-not-mapped', async (lab) => {
  const found = async (machine: readonly string[]) => {
    const { qmp } = await lab.start({ extra: machine });
    const at = Number(await qmp.execute('qom-get', { path: '/machine/peripheral/memory0', property: 'memaddr' }));
    return String(await qmp.execute('human-monitor-command', { 'command-line': `xp /1wx 0x${(at + 64 * 2 ** 20).toString(16)}` }));
  };
  expect(await found(withPlace(128))).toContain('Cannot access memory');
  expect(await found(withPlace(128, 0, ''))).toMatch(/: 0x00000000/);
});
