import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoImages } from '../testing/demo-images.ts';
import { controlGuest, untilGuestAnswers } from '../testing/guest-control.ts';
import { custodyOf, moveGuest, newMove, prepare, qemuPid, start, startTestGuest, testGuest, untilEnded } from '../testing/test-guest.ts';
import { startTwoHosts, type TestHost, type TwoHosts } from '../testing/two-hosts.ts';

let two: TwoHosts;
beforeAll(async () => {
  two = await startTwoHosts({ images: await demoImages() });
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

/**
 * From now on nothing that QEMU says at `port` is heard on the other side, its end of the stream neither; that it has received what it was sent, is. (What a program writes ends with a pushed
 * segment; a bare acknowledgement is none.)
 */
async function silence(host: TestHost, port: number): Promise<void> {
  const rules = `table inet mute { chain out { type filter hook output priority 0; tcp sport ${port} tcp flags & psh != 0 drop; }; }`;
  await two.in(host.namespace, 'sh', '-c', 'echo "$0" | nft -f -', rules);
}
const hear = (host: TestHost): Promise<unknown> => two.in(host.namespace, 'nft', 'delete', 'table', 'inet', 'mute');

test('a source that has stopped and then resumes by itself: failed by name, the network switch undone, one copy, and the next move works', async () => {
  const guest = testGuest(two.hosts[0], { number: 1 });
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
  const { nonce } = await controlGuest(two, guest, 'status');
  const tap = `gt${String(guest.wire.nics?.[0]?.portId).slice(0, 8)}`;
  const to = two.hosts[1];
  // So slowly that the end is far when the stream has begun.
  const move = newMove(guest, to, { maxBandwidthBytes: 2_000_000 });
  const ready = await prepare(guest, move);
  await start(move, ready);
  const untilHas = async (what: string): Promise<void> => {
    const has = async (): Promise<readonly string[]> =>
      (await move.from.client.getMigration({ migrationId: move.migrationId })).timeline.map((event) => event.what);
    await expect.poll(has, { timeout: 30_000 }).toContain(what);
  };
  // From here on nothing but the stream's last word has to come back over it.
  await untilHas('QEMU active');
  await silence(to, ready.ramPort);
  try {
    const policy = { ...move.policy, maxBandwidthBytes: 0n };
    await move.from.client.setMigrationPolicy({ custody: custodyOf(guest), migrationId: move.migrationId, policy });
    await untilHas('STOP');
    // It has all of the guest, or nearly: nobody may find that it runs it.
    process.kill(await qemuPid(to, guest), 'SIGSTOP');
    const source = await untilEnded(move.from, move.migrationId);
    expect(source).toMatchObject({ state: 'failed', guestState: GuestState.RUNNING, cause: 'SwitchoverTimeout' });
    const steps = source.timeline.map((event) => event.what);
    expect(steps).toEqual(expect.arrayContaining(['network open at both', 'STOP', 'RESUME at the source']));
  } finally {
    await hear(to);
  }
  // Before the answer of the destination: the guest answers outside again, and nothing of it is copied away.
  expect((await controlGuest(two, guest, 'status')).nonce).toBe(nonce);
  expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await expect.poll(() => two.in(move.from.namespace, 'tc', 'filter', 'show', 'dev', tap, 'egress')).not.toContain('mirred');
  for (const host of two.hosts)
    await expect.poll(() => two.in(host.namespace, 'ip', '-o', 'link')).not.toContain(`gx${move.migrationId.slice(0, 8)}`);
  expect((await moveGuest(guest, to)).source.state).toBe('released');
  expect((await controlGuest(two, guest, 'status')).nonce).toBe(nonce);
  for (const host of two.hosts)
    await host.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 50), deleteDisks: true, guest: guest.wire });
}, 120_000);
