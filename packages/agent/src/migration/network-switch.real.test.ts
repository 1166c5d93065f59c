import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { GuestNetwork } from '@godwit/contract/gen/network_pb';
import type { NetworkPolicy } from '@godwit/domain/network-policy';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoImages } from '../testing/demo-images.ts';
import { captureFrames, framePort, startFrameSender } from '../testing/frame-sender.ts';
import { controlGuest, isSilent, untilGuestAnswers } from '../testing/guest-control.ts';
import {
  custodyOf,
  newMove,
  prepare,
  qemuPid,
  start,
  startTestGuest,
  type TestGuest,
  testGuest,
  untilEnded,
} from '../testing/test-guest.ts';
import { holdAt, startTwoHosts, type TwoHosts } from '../testing/two-hosts.ts';

let two: TwoHosts;
let guest: TestGuest;
beforeAll(async () => {
  two = await startTwoHosts({ images: await demoImages() });
  guest = testGuest(two.hosts[0], { number: 1, commandLine: 'godwit.memory=5,8' });
  // Held to its security group all along: the demo guest's ports, and nothing else.
  guest.wire.networkPolicyJson = JSON.stringify(networkPolicy(1, guest, [7, 9000, framePort]));
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

function networkPolicy(number: number, { wire, mac, address }: TestGuest, ports: readonly number[]): NetworkPolicy {
  const rules = ports.map((port) => ({
    direction: 'ingress' as const,
    ipVersion: 4 as const,
    protocol: port === framePort ? 17 : 6,
    first: port,
    last: port,
    remote: { kind: 'any' as const },
  }));
  return { number, ports: [{ portId: wire.nics?.[0]?.portId ?? '', sources: [{ mac, address }], rules, lease: null }], groups: {} };
}

const pings = (): Promise<boolean> =>
  two.in(two.clientNamespace, 'busybox', 'ping', '-c', '1', '-W', '1', guest.address).then(
    () => true,
    () => false,
  );

const tap = (): string => `gt${String(guest.wire.nics?.[0]?.portId).slice(0, 8)}`;
const filters = (namespace: string): Promise<string> => two.in(namespace, 'tc', 'filter', 'show', 'dev', tap(), 'egress').catch(() => '');

async function untilMirrored(namespace: string): Promise<void> {
  const until = performance.now() + 60_000;
  while (!(await filters(namespace)).includes('mirred')) {
    if (performance.now() > until) throw new Error('the mirror was not opened');
    await delay(20);
  }
}

/** Much more than the destination lets in of what came before the stop: a busy agent reads a frame some time after it has come. */
const longBeforeMs = 1_000;

type Fire = {
  /** Copied slowly at first, so that the mirror is open for longer than `longBeforeMs` when the guest stops. */
  readonly slowly?: boolean;
  /** The destination hears of the release so much later than a network takes. */
  readonly releaseHeldMs?: number;
};

/** Moves the guest while frames are sent; what was sent between STOP and RESUME, and what the destination's tap was handed. */
async function moveUnderFire(
  networkSwitch: boolean,
  { slowly = false, releaseHeldMs = 0 }: Fire = {},
): Promise<{
  readonly blackout: readonly number[];
  /** Sent while the guest had still a while to run at the source. */
  readonly longBefore: readonly number[];
  readonly arrived: ReadonlySet<number>;
  readonly longestEchoGapMs: number;
  readonly resets: number;
  readonly blackoutMs: number;
}> {
  const to = guest.at === two.hosts[0] ? two.hosts[1] : two.hosts[0];
  const move = newMove(guest, to, { networkSwitch, maxBandwidthBytes: slowly ? 10_000_000 : 0 });
  // Four megabytes, written again and again: at ten a second the copy never comes to its end.
  if (slowly) await controlGuest(two, guest, 'memory 60 4');
  const sender = await startFrameSender(two, guest.address);
  const ready = await prepare(guest, move);
  const capture = await captureFrames(to.namespace, tap());
  expect(await two.in(to.namespace, 'nft', 'list', 'chain', 'bridge', 'godwit', `${tap()}_to`)).toContain('dport 9000');
  const release = await holdAt(to, 'destination.release-heard');
  if (releaseHeldMs === 0) await release.letGo();
  await start(move, ready);
  if (slowly) {
    await untilMirrored(move.from.namespace);
    await delay(1.5 * longBeforeMs);
    await controlGuest(two, guest, 'memory 5 8');
    const policy = { ...move.policy, maxBandwidthBytes: 0n };
    await move.from.client.setMigrationPolicy({ custody: custodyOf(guest), migrationId: move.migrationId, policy });
  }
  if (releaseHeldMs > 0) {
    await release.held();
    await delay(releaseHeldMs);
    await release.letGo();
  }
  const [source, taken] = await Promise.all([untilEnded(move.from, move.migrationId), untilEnded(to, move.migrationId)]);
  expect([source.state, taken.state]).toEqual(['released', 'running']);
  guest.held = guest.epoch;
  const destination = await to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
  // Until the echo has answered again: then everything of the blackout is over.
  await controlGuest(two, guest, 'status');
  await move.from.client.dropOutgoing({ custody: custodyOf(guest), migrationId: move.migrationId, guest: guest.wire });
  const { sent, longestEchoGapMs, resets } = await sender.stop();
  await capture.came(sent.at(-1)?.[0] ?? 0);
  const arrived = new Set(await capture.stop());
  guest.at = to;
  const resumedAtMs = destination.resumedAtMs - source.clockOffsetMs;
  // A frame takes its time from the sender to the tap: those of the last instant before RESUME may be handed over by then, or after. Both must arrive.
  const blackout = sent.filter(([, atMs]) => atMs >= source.stoppedAtMs && atMs <= resumedAtMs).map(([sequence]) => sequence);
  const longBefore = sent.filter(([, , goneAtMs]) => goneAtMs < source.stoppedAtMs - longBeforeMs).map(([sequence]) => sequence);
  return { blackout, longBefore, arrived, longestEchoGapMs, resets, blackoutMs: resumedAtMs - source.stoppedAtMs };
}

test("every frame of the blackout reaches the destination's tap, and none that the guest had long before", async () => {
  for (const fire of [{ slowly: true }, { releaseHeldMs: 150 }, {}]) {
    const { blackout, longBefore, arrived, resets } = await moveUnderFire(true, fire);
    expect(blackout.length).toBeGreaterThan(0);
    const lost = blackout.filter((sequence) => !arrived.has(sequence));
    expect(lost, `of ${blackout[0]}-${blackout.at(-1)}; came: ${[...arrived].slice(0, 20).join(' ')}…`).toEqual([]);
    if (fire.slowly === true) expect(longBefore.length).toBeGreaterThan(0);
    expect(longBefore.filter((sequence) => arrived.has(sequence))).toEqual([]);
    expect(resets).toBe(0);
    expect(await pings()).toBe(false);
  }
}, 90_000);

test('after its moves a guest is still held to what it is allowed, and to changes of that; its old host has no rules left', async () => {
  const other = guest.at === two.hosts[0] ? two.hosts[1] : two.hosts[0];
  expect(await two.in(other.namespace, 'nft', 'list', 'table', 'bridge', 'godwit')).not.toContain(tap());
  const network = createClient(GuestNetwork, guest.at.link.transport);
  const change = async (number: number, ports: readonly number[]): Promise<unknown> =>
    network.setPolicy({ policyJson: JSON.stringify(networkPolicy(number, guest, ports)) });
  await change(3, [7]);
  expect(await isSilent(two, guest)).toBe(true);
  await change(2, [7, 9000]);
  expect(await isSilent(two, guest)).toBe(true);
  await expect(network.setPolicy({ policyJson: '{"number":9,"ports":[{"portId":"x; flush ruleset"}],"groups":{}}' })).rejects.toThrow(
    /port id/,
  );
  const policy = networkPolicy(4, guest, [7, 9000, framePort]);
  await network.setPolicy({ policyJson: JSON.stringify(policy) });
  guest.wire.networkPolicyJson = JSON.stringify(policy);
  await controlGuest(two, guest, 'status');
  expect(await pings()).toBe(false);
}, 60_000);

test('without the switch frames of the blackout are lost: the test can fail', async () => {
  const { blackout, arrived, resets } = await moveUnderFire(false);
  expect(blackout.filter((sequence) => !arrived.has(sequence)).length).toBeGreaterThan(0);
  expect(resets).toBe(0);
}, 60_000);

test("the mirror is undone when the guest stays: nothing is copied any more, the destination's tap is gone", async () => {
  const to = guest.at === two.hosts[0] ? two.hosts[1] : two.hosts[0];
  const move = newMove(guest, to, { maxBandwidthBytes: 10_000_000 });
  await controlGuest(two, guest, 'memory 60 4');
  await start(move, await prepare(guest, move));
  // Open now, as it is shortly before the stop, and then the destination's QEMU dies.
  await untilMirrored(move.from.namespace);
  process.kill(await qemuPid(to, guest), 'SIGKILL');
  const ended = await untilEnded(move.from, move.migrationId);
  // It writes faster than it is copied: it cannot have made it.
  expect(ended.state).toBe('failed');
  await to.client.forfeitIncoming({ grant: move.grant });
  expect(await filters(move.from.namespace)).not.toContain('mirred');
  for (const host of two.hosts) expect(await two.in(host.namespace, 'ip', '-o', 'link')).not.toContain(`gx${move.migrationId.slice(0, 8)}`);
  await controlGuest(two, guest, 'status');
}, 90_000);
