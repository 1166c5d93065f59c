import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeCloud, fakeCloud } from '../../testing/fake-cloud.ts';
import { serverEvacuate, serverRebuild } from './rebuild.ts';

const server = { id: 's', name: 'web', status: 'ACTIVE', image: { id: 'i' }, flavor: { id: 'f' }, addresses: {} };

describe('what a server’s disk is made of anew', () => {
  let cloud: FakeCloud;
  beforeEach(async () => {
    cloud = await fakeCloud([serverRebuild, serverEvacuate], (asked) =>
      asked.startsWith('GET /compute/v2.1/servers/s') || asked.startsWith('POST') ? { server } : null,
    );
  });
  afterEach(() => cloud.close());
  const posted = (): readonly string[] => cloud.asked.filter((one) => one.startsWith('POST'));

  it.each([
    ['server evacuate s -f json', '{"evacuate":{"onSharedStorage":false}}'],
    ['server evacuate s --shared-storage -f json', '{"evacuate":{"onSharedStorage":true}}'],
    ['server evacuate s --os-compute-api-version 2.13 --password x -f json', '{"evacuate":{"adminPass":"x","onSharedStorage":false}}'],
    ['server evacuate s --os-compute-api-version 2.29 --host node2 -f json', '{"evacuate":{"host":"node2"}}'],
    ['server rebuild s --os-compute-api-version 2.90 --hostname w --no-user-data --no-key-name -f json', null],
  ])('`%s` says what that version asks for', async (line, body) => {
    expect(await cloud.godwit(line)).toMatchObject({ code: 0, err: '' });
    const rebuild = '{"rebuild":{"hostname":"w","key_name":null,"user_data":null,"imageRef":"i"}}';
    expect(posted()).toEqual([`POST /compute/v2.1/servers/s/action ${body ?? rebuild}`]);
  });

  it.each([
    ['server evacuate s --shared-storage --os-compute-api-version 2.14', 1, '2.13 or earlier'],
    ['server rebuild s --key-name k', 1, '2.54 or greater'],
    ['server rebuild s --no-user-data --os-compute-api-version 2.54', 1, '2.57 or greater'],
    ['server rebuild s --key-name k --key-unset --os-compute-api-version 2.90', 2, 'exclude each other'],
  ])('`%s` is refused before anything is asked for', async (line, code, sentence) => {
    expect(await cloud.godwit(line)).toMatchObject({ code, out: '', err: expect.stringContaining(sentence) });
    expect(posted()).toEqual([]);
  });
});
