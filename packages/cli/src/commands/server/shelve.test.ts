import { afterEach, expect, it } from 'vitest';
import { type FakeCloud, fakeCloud } from '../../testing/fake-cloud.ts';
import { serverShelve } from './shelve.ts';

let cloud: FakeCloud;
afterEach(() => cloud.close());

it.each([
  ['server shelve s', 'ACTIVE', ['shelve']],
  ['server shelve s --offload --wait', 'ACTIVE', ['shelve', 'shelveOffload']],
  ['server shelve s --offload', 'SHELVED', ['shelveOffload']],
  ['server shelve s --offload --wait', 'SHELVED_OFFLOADED', []],
])('`%s` of a server that is %s asks for %j, in that order', async (line, begun, orders) => {
  let status = begun;
  cloud = await fakeCloud([serverShelve], (asked) => {
    if (asked.endsWith('{"shelve":null}')) status = 'SHELVED';
    if (asked.endsWith('{"shelveOffload":null}')) status = 'SHELVED_OFFLOADED';
    return { server: { id: 's', status } };
  });
  expect(await cloud.godwit(line)).toEqual({ code: 0, out: '', err: '' });
  expect(cloud.asked.filter((one) => one.startsWith('POST'))).toEqual(
    orders.map((order) => `POST /compute/v2.1/servers/s/action {"${order}":null}`),
  );
});
