import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeCloud, fakeCloud } from '../testing/fake-cloud.ts';
import { commands } from './host.ts';

describe('whole hosts', () => {
  let cloud: FakeCloud;
  beforeEach(async () => {
    cloud = await fakeCloud(commands, () => ({ plan: { complete: true, moves: [], excluded: [] }, operation: { id: 'o', items: [] } }));
  });
  afterEach(() => cloud.close());

  it.each(['drain', 'maintenance', 'rolling'])('`host %s --dry-run` begins nothing, and needs no reason', async (kind) => {
    expect(await cloud.godwit(`host ${kind} node1 node2 --dry-run`)).toMatchObject({ code: 0, err: '' });
    expect(cloud.asked.length).toBeGreaterThan(0);
    for (const one of cloud.asked) expect(one).toMatch(/^POST \/godwit\/v1\/plans .*"kind":"drain"/);
  });

  it('begins with the reason, and not without', async () => {
    const refused = await cloud.godwit('host drain node1');
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('--reason is missing') });
    expect(cloud.asked).toEqual([]);
    expect((await cloud.godwit('host rolling node1 --reason disks')).code).toBe(0);
    expect(cloud.asked).toEqual([expect.stringMatching(/^POST \/godwit\/v1\/operations .*"kind":"rolling".*"reason":"disks"/)]);
  });
});
