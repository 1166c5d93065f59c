import { afterEach, expect, it } from 'vitest';
import type { JsonObject } from '../../json.ts';
import { type FakeCloud, fakeCloud } from '../../testing/fake-cloud.ts';
import { serverScale } from './scale.ts';

let cloud: FakeCloud;
afterEach(() => cloud.close());

it.each([
  ['server scale s --vcpus 3', { result: 'Error' }, { code: 0, out: '', err: '' }],
  ['server scale s --vcpus 3 --wait', { result: 'Success' }, { code: 0, out: 'Complete\n', err: '' }],
  [
    'server scale s --vcpus 3 --wait',
    { result: 'Error', details: 'no place' },
    { code: 4, err: expect.stringContaining('does not have 3 vCPUs now: no place.') as string },
  ],
  // As a member is told.
  [
    'server scale s --vcpus 3 --wait',
    { result: 'Error' },
    { code: 4, err: expect.stringContaining('the cause is told to administrators') as string },
  ],
  ['server scale s --ram 1024', { result: 'Success' }, { code: 0 }, { ramMib: 1024 }],
  [
    'server scale s --vcpus 2 --ram 512 --wait',
    { result: 'Error' },
    { code: 4, err: expect.stringContaining('2 vCPUs and 512 MiB of memory now') as string },
    { vcpus: 2, ramMib: 512 },
  ],
  ['server scale s --vcpus many', { result: 'Success' }, { code: 2 }],
  ['server scale s', { result: 'Success' }, { code: 2 }],
])('`%s` whose event is %o', async (line, event: JsonObject, ran, asks: object = { vcpus: 3 }) => {
  cloud = await fakeCloud([serverScale], (asked, version) => {
    if (asked.includes('/scale')) return { server: { id: 's', vcpus: 3 }, requestId: 'req-1' };
    if (asked.includes('/os-instance-actions/req-1')) return { instanceAction: version === '2.84' ? { events: [event] } : {} };
    return { server: { id: 's', status: 'ACTIVE', 'OS-EXT-STS:task_state': null } };
  });
  expect(await cloud.godwit(line)).toMatchObject(ran);
  const orders = cloud.asked.filter((one) => one.startsWith('POST'));
  expect(orders).toEqual(ran.code === 2 ? [] : [`POST /godwit/v1/servers/s/scale ${JSON.stringify(asks)}`]);
});
