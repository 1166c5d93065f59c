import { afterAll, expect, test } from 'vitest';
import { TinyLab } from '../custody/conformance/tiny-qemu.ts';
import { immovableDevices, refuseImmovable } from './immovable-devices.ts';

const lab = new TinyLab();
afterAll(() => lab[Symbol.asyncDispose]());

test('a device whose state QEMU cannot save is named before a move, and a guest without one is not refused', async () => {
  const [plain, blocked] = await Promise.all([
    lab.start(),
    lab.start({ extra: ['-blockdev', 'null-co,node-name=nothing,size=1048576', '-device', 'nvme,serial=gw,drive=nothing,addr=0x5'] }),
  ]);
  expect(await immovableDevices(plain.qmp)).toEqual([]);
  await refuseImmovable(plain.qmp);
  expect(await immovableDevices(blocked.qmp)).toEqual([expect.stringMatching(/0000:00:05\.0\/nvme/)]);
  await expect(refuseImmovable(blocked.qmp)).rejects.toMatchObject({
    code: 'DeviceCannotMove',
    message: expect.stringContaining('0000:00:05.0/nvme'),
  });
});
