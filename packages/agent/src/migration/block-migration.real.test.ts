import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoImages } from '../testing/demo-images.ts';
import { controlGuest, untilGuestAnswers } from '../testing/guest-control.ts';
import { custodyOf, moveGuest, rootDisk, startTestGuest, type TestGuest, testGuest } from '../testing/test-guest.ts';
import { startTwoHosts, type TestHost, type TwoHosts } from '../testing/two-hosts.ts';

let two: TwoHosts;
beforeAll(async () => {
  two = await startTwoHosts({
    prefix: 'gwagbm',
    dir: '/tmp/gw-ag-block',
    network: '10.79.6',
    images: await demoImages(),
    imageLocking: false,
  });
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

/** Files of the guest in a host's local pool. */
const filesAt = async (host: TestHost, guest: TestGuest): Promise<string> =>
  two.in(host.namespace, 'sh', '-c', `ls ${host.stateDir}/local/disks/${guest.serverId} 2>/dev/null || true`);
const destroy = async (guest: TestGuest): Promise<void> => {
  for (const host of two.hosts)
    await host.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 50), deleteDisks: true, guest: guest.wire });
};

test('a guest on a local disk moves back and forth with its disk, and loses no acknowledged write', async () => {
  const guest = testGuest(two.hosts[0], { number: 1, commandLine: 'godwit.memory=10,16 godwit.disk=100', disks: [rootDisk('local')] });
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
  for (let turn = 0; turn < 3; turn += 1) {
    const from = guest.at;
    const to = two.hosts[turn % 2 === 0 ? 1 : 0];
    const moved = await moveGuest(guest, to);
    expect(moved.source.disks).toMatchObject([{ diskId: 'root', ready: true }]);
    expect(moved.source.disks[0]?.offsetBytes).toBe(moved.source.disks[0]?.lengthBytes);
    expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });
    await expect.poll(() => filesAt(from, guest), { timeout: 10_000 }).toBe('');
    expect(await filesAt(to, guest)).toContain('root.qcow2');
  }
  await destroy(guest);
}, 120_000);
