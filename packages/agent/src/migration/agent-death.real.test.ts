import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import type { MigrationReport } from '@godwit/contract/gen/migration_pb';
import type { MemoryStream } from '@godwit/domain/memory-stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { FaultPoint } from '../fault-point.ts';
import { demoImages } from '../testing/demo-images.ts';
import { controlGuest, untilGuestAnswers } from '../testing/guest-control.ts';
import {
  custodyOf,
  type Move,
  newMove,
  prepare,
  start,
  startTestGuest,
  type TestGuest,
  testGuest,
  untilEnded,
} from '../testing/test-guest.ts';
import { ended, holdAt, startTwoHosts, type TestHost, type TwoHosts } from '../testing/two-hosts.ts';

let two: TwoHosts;
let guest: TestGuest;
let nonce: string;
/** Guests made so far: one, as long as every test leaves it whole. */
let number = 0;

beforeAll(async () => {
  two = await startTwoHosts({
    images: await demoImages(),
    imageLocking: false,
    agentConfig: { modelPowerLoss: true },
  });
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);
/** Whether the test before has left its guest as it should: then the next one breaks its next move. */
let whole = false;
beforeEach(async () => {
  await two.mend();
  if (!whole) await newGuest();
  whole = false;
}, 60_000);

async function newGuest(): Promise<void> {
  if (number > 0)
    for (const host of two.hosts)
      await host.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 50), deleteDisks: true, guest: guest.wire });
  number += 1;
  guest = testGuest(two.hosts[0], { number, commandLine: 'godwit.disk=20' });
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
  nonce = (await controlGuest(two, guest, 'status')).nonce;
}

const states = async (): Promise<readonly (GuestState | undefined)[]> =>
  Promise.all(
    two.hosts.map(async (host) => (await host.client.listGuests({})).guests.find((one) => one.serverId === guest.serverId)?.state),
  );

const dead = async (host: TestHost): Promise<void> => {
  const until = performance.now() + 30_000;
  while (host.process.exitCode === null && host.process.signalCode === null) {
    if (performance.now() > until) throw new Error(`the agent of ${host.name} did not die at its fault point`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/**
 * What a controller does when it finds the move unfinished: waits for both sides, aborts what was not released, and brings the rest to its end. Returns where the guest
 * then is.
 */
async function settle(move: Move): Promise<'source' | 'destination'> {
  const reportOf = async (host: TestHost): Promise<MigrationReport | null> =>
    host.client.getMigration({ migrationId: move.migrationId }).catch(() => null);
  const forward = async (): Promise<'destination'> => {
    const taken = await untilEnded(move.to, move.migrationId);
    expect(taken).toMatchObject({ state: 'running', taken: TakeAnswer.TOOK_ALIVE });
    guest.held = guest.epoch;
    await move.to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
    await move.from.client.dropOutgoing({ custody: custodyOf(guest), migrationId: move.migrationId, guest: guest.wire });
    return 'destination';
  };
  const source = await reportOf(move.from);
  if (source !== null && ['copying', 'released'].includes(source.state)) {
    const ended = await untilEnded(move.from, move.migrationId);
    if (ended.state === 'released') return forward();
  }
  // Released between the look and the order: too late to abort.
  const cancelled = await move.from.client.cancelOutgoing({ grant: move.grant });
  if (cancelled.state === 'released') return forward();
  const { answer } = await move.to.client.forfeitIncoming({ grant: move.grant, guest: guest.wire });
  // The source's account says what became of its QEMU; whether it had released before, the destination knows.
  if (answer === TakeAnswer.TOOK_ALIVE) return forward();
  expect(answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  return 'source';
}

const tapOf = ({ wire }: TestGuest): string => `gt${String(wire.nics?.[0]?.portId).slice(0, 8)}`;
const mirrored = (namespace: string): Promise<string> =>
  two.in(namespace, 'tc', 'filter', 'show', 'dev', tapOf(guest), 'egress').catch(() => '');

async function expectOneGuestAt(here: TestHost): Promise<void> {
  expect(await states()).toEqual(two.hosts.map((host) => (host === here ? GuestState.RUNNING : undefined)));
  const status = await controlGuest(two, guest, 'status');
  expect(status.nonce).toBe(nonce);
  expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });
}

/** As an agent leaves it that died with its account of the move: frames for the guest are copied to a host that nobody remembers. */
async function leaveMirror({ namespace }: TestHost): Promise<void> {
  await two.in(namespace, 'ip', ...'link add name gx012345670 type vxlan id 77 remote 192.0.2.9 dstport 4700 dev mgmt0'.split(' '));
  await two.in(
    namespace,
    'tc',
    ...`filter add dev ${tapOf(guest)} egress pref 49000 protocol all u32 match u32 0 0`.split(' '),
    ...'action mirred egress mirror dev gx012345670'.split(' '),
  );
}

/** Nothing of this move copies frames on a host any more: no tunnel, and no filter at the guest's tap. A destination whose agent lived lets late frames in for three seconds. */
async function expectNoMirror(move: Move, hosts: readonly TestHost[]): Promise<void> {
  for (const { namespace } of hosts) {
    const tunnels = async (): Promise<string> => two.in(namespace, 'ip', '-o', 'link');
    // Cleared away behind the answers.
    await expect.poll(tunnels, { timeout: 10_000 }).not.toContain(`gx${move.migrationId.slice(0, 8)}`);
    await expect.poll(() => mirrored(namespace), { timeout: 10_000 }).not.toContain('mirred');
  }
}

/** Where each death leaves the guest; `either` when it depends on how far QEMU got meanwhile. Memory goes over TLS, in one stream or over channels. */
const deaths: readonly (readonly [
  side: 'source' | 'destination',
  point: FaultPoint,
  memoryStream: MemoryStream,
  leaves: 'source' | 'destination' | 'either',
])[] = [
  ['destination', 'destination.granted', 'single', 'source'],
  ['destination', 'destination.started', 'single', 'source'],
  ['destination', 'destination.listening', 'zstd', 'source'],
  ['source', 'source.warm', 'single', 'source'],
  ['source', 'source.armed', 'multifd', 'source'],
  ['source', 'source.migrating', 'single', 'either'],
  ['source', 'source.migrating', 'multifd', 'either'],
  ['source', 'source.migrating', 'zstd', 'either'],
  ['source', 'source.stopped', 'multifd', 'destination'],
  ['source', 'source.completed', 'zstd', 'destination'],
  ['source', 'source.release-sent', 'single', 'destination'],
  ['destination', 'destination.release-heard', 'multifd', 'destination'],
  ['destination', 'destination.taking', 'zstd', 'destination'],
  ['destination', 'destination.taken', 'single', 'destination'],
  ['destination', 'destination.finishing', 'single', 'destination'],
];

/** Nobody is told by which stream. */
const dyingBeforeItAnswers: readonly FaultPoint[] = ['destination.granted', 'destination.started', 'destination.listening'];

describe.each(deaths)('the agent of the %s dies (kill -9) at %s, memory by %s', (side, point, memoryStream, leaves) => {
  test(`the guest lives on, at one host only (${leaves})`, async () => {
    const move = newMove(guest, guest.at === two.hosts[0] ? two.hosts[1] : two.hosts[0], { memoryStream });
    const victim = side === 'source' ? move.from : move.to;
    if (side === 'source') await leaveMirror(victim);
    await two.restart(victim, `${point}=kill`);
    // Also what the agent before had made for a move that was over.
    expect(await two.in(victim.namespace, 'ip', '-o', 'link')).not.toContain(' gx');
    expect(await mirrored(victim.namespace)).not.toContain('mirred');
    // Whatever call meets the death fails: the controller learns no more than that.
    const streams: object[] = [];
    const run = async (): Promise<void> => {
      const ready = await prepare(guest, move);
      streams.push({ how: ready.memoryStream, plain: ready.ramPlain });
      await start(move, ready);
      if (point === 'destination.finishing') {
        await untilEnded(move.to, move.migrationId);
        guest.held = guest.epoch;
        await move.to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
      }
    };
    const failed = run().catch(() => undefined);
    await dead(victim);
    await failed;
    if (!dyingBeforeItAnswers.includes(point)) expect(streams).toEqual([{ how: memoryStream, plain: false }]);
    await two.restart(victim);
    const where = await settle(move);
    if (leaves !== 'either') expect(where).toBe(leaves);
    guest.at = where === 'source' ? move.from : move.to;
    await expectOneGuestAt(guest.at);
    await expectNoMirror(move, [victim, move.from]);
    whole = true;
  }, 60_000);
});

test('an agent that cannot take up its moves says so and ends, so that another is started; the guest runs on', async () => {
  const host = guest.at;
  const folder = join(host.stateDir, 'moves');
  await ended(host.process);
  await mkdir(folder, { recursive: true });
  await rename(folder, `${folder}.aside`);
  await writeFile(folder, '');
  try {
    await expect(two.restart(host)).rejects.toThrow();
    expect(host.process.exitCode).toBe(1);
  } finally {
    await rm(folder);
    await rename(`${folder}.aside`, folder);
  }
  await two.restart(host);
  await expectOneGuestAt(host);
  whole = true;
}, 60_000);

/**
 * Power losses inside the switchover: every process of the host is gone, so are the journal's unsynced bytes, and the boot id is a new one. `nowhere`: what the guest's memory was is lost with one
 * side or must not run at the other, and it starts again from its disk.
 */
const losses: readonly (readonly [
  side: 'source' | 'destination',
  point: FaultPoint | 'its release being taken',
  what: string,
  leaves: 'destination' | 'nowhere',
])[] = [
  ['source', 'source.stopped', 'stopped, not completed', 'nowhere'],
  ['source', 'source.completed', 'completed, not released', 'nowhere'],
  ['source', 'its release being taken', 'running there, not committed', 'destination'],
  ['destination', 'destination.release-heard', 'released, not taken', 'nowhere'],
  ['destination', 'destination.taking', 'taking, not running', 'nowhere'],
  ['destination', 'destination.taken', 'running, not committed', 'nowhere'],
];

describe.each(losses)('the %s loses its power at %s: %s', (side, point, _what, leaves) => {
  test(`at most one copy runs; the guest is left ${leaves === 'nowhere' ? 'nowhere, and starts from its disk under a newer epoch' : 'at the destination'}`, async () => {
    const move = newMove(guest, guest.at === two.hosts[0] ? two.hosts[1] : two.hosts[0]);
    const [victim, other] = side === 'source' ? [move.from, move.to] : [move.to, move.from];
    const grantedIn = move.to.bootId;
    if (point === 'its release being taken') {
      await start(move, await prepare(guest, move));
      expect((await untilEnded(move.to, move.migrationId)).state).toBe('running');
      await two.powerLoss(victim);
    } else {
      await two.restart(victim, `${point}=kill`);
      const failed = (async () => start(move, await prepare(guest, move)))().catch(() => undefined);
      await dead(victim);
      await two.powerLoss(victim);
      await failed;
    }
    // Dark for a while: whatever the other side does about it alone, it does now.
    const alone = await other.client.getMigration({ migrationId: move.migrationId });
    if (side === 'source' && leaves === 'nowhere') expect(['listening', 'loaded', 'died', 'preparing']).toContain(alone.state);
    if (side === 'destination') expect((await untilEnded(move.from, move.migrationId)).state).toBe('released');
    await two.restart(victim);
    expect(victim.bootId).not.toBe(side === 'source' ? grantedIn : move.grant.destinationBootId);
    expect((await states()).filter((state) => state === GuestState.RUNNING)).toHaveLength(leaves === 'destination' ? 1 : 0);

    // As a controller does: the source first. What is dead there has not been heard to release.
    if (side === 'source') expect((await move.from.client.cancelOutgoing({ grant: move.grant })).guestState).not.toBe(GuestState.RUNNING);
    const { answer } = await move.to.client.forfeitIncoming({ grant: move.grant, guest: guest.wire });
    if (leaves === 'destination') {
      expect(answer).toBe(TakeAnswer.TOOK_ALIVE);
      guest.held = guest.epoch;
      await move.to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
      await move.from.client.supersede({ custody: custodyOf(guest) });
      guest.at = move.to;
      await expectOneGuestAt(move.to);
    } else {
      // A destination in another boot cannot say that it has not run the guest: the source, whose memory is whole, must not go on.
      if (side === 'source') expect(answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
      else expect(answer).not.toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
      expect((await states()).filter((state) => state === GuestState.RUNNING)).toEqual([]);
      // Everything below is killed, then it starts from its disk: on the host that stayed up.
      for (const host of two.hosts) await host.client.supersede({ custody: custodyOf(guest, guest.epoch + 1) });
      guest.at = other;
      await startTestGuest(guest);
      await untilGuestAnswers(two, guest);
      const status = await controlGuest(two, guest, 'status');
      expect(status.nonce).not.toBe(nonce);
      nonce = status.nonce;
      await expectOneGuestAt(other);
    }
    await expectNoMirror(move, [victim, move.from]);
    whole = true;
  }, 60_000);
});

/** QEMU's own death inside the switchover, while the agent that decides there is held at a fault point. The last two leave no guest. */
const qemuDeaths: readonly (readonly [
  victim: 'source' | 'destination',
  heldAt: 'source' | 'destination',
  point: FaultPoint,
  what: string,
  leaves: 'source' | 'destination' | 'nowhere',
])[] = [
  ['source', 'destination', 'destination.release-heard', 'released, not taken', 'destination'],
  ['source', 'destination', 'destination.taking', 'taking, not running', 'destination'],
  ['destination', 'source', 'source.completed', 'completed, not released', 'source'],
  ['destination', 'destination', 'destination.release-heard', 'released, not taken', 'source'],
  ['destination', 'destination', 'destination.taking', 'taking, not running', 'nowhere'],
  ['source', 'source', 'source.completed', 'completed, not released', 'nowhere'],
];

describe.each(qemuDeaths)("the %s's QEMU dies with the %s's agent at %s: %s", (side, holds, point, _what, leaves) => {
  test(`the guest is left ${leaves === 'nowhere' ? 'nowhere' : `at the ${leaves}`}`, async () => {
    const move = newMove(guest, guest.at === two.hosts[0] ? two.hosts[1] : two.hosts[0]);
    const victim = side === 'source' ? move.from : move.to;
    const pid = async (): Promise<number> =>
      (await victim.client.listGuests({})).guests.find((one) => one.serverId === guest.serverId)?.pid ?? 0;
    const hold = await holdAt(holds === 'source' ? move.from : move.to, point);
    try {
      await start(move, await prepare(guest, move));
      await hold.held();
      // The release of the move before, repeated, may have been the first to come there.
      if (holds === 'destination') {
        const marks = async () => (await move.from.client.getMigration({ migrationId: move.migrationId })).timeline.map(({ what }) => what);
        await expect.poll(marks, { timeout: 20_000 }).toContain('release sent');
      }
      const victimPid = await pid();
      expect(victimPid).not.toBe(0);
      process.kill(victimPid, 'SIGKILL');
      // Noticed before anything is decided: an agent that has not noticed yet goes on as if its QEMU lived, which is as safe and ends otherwise.
      await expect.poll(pid, { timeout: 10_000 }).toBe(0);
    } finally {
      await hold.letGo();
    }
    const source = await untilEnded(move.from, move.migrationId);
    // Whatever becomes of its QEMU after the release is no end of the move.
    expect(source.state).toBe(side === 'source' && holds === 'source' ? 'lost' : 'released');
    if (leaves === 'destination') {
      expect(await settle(move)).toBe('destination');
      guest.at = move.to;
      await expectOneGuestAt(move.to);
      await expectNoMirror(move, [move.from]);
      await expect.poll(() => two.in(move.from.namespace, 'ip', '-o', 'link'), { timeout: 10_000 }).not.toContain(tapOf(guest));
      whole = true;
      return;
    }
    expect((await states()).filter((state) => state === GuestState.RUNNING)).toEqual([]);
    const { answer } = await move.to.client.forfeitIncoming({ grant: move.grant, guest: guest.wire });
    // Once it has written that it takes, nobody can say that the guest has not run there: the source's memory, whole as it is, is not resumed.
    expect(answer).toBe(point === 'destination.taking' ? TakeAnswer.TOOK_DEAD : TakeAnswer.HAS_NOT_AND_FORFEITS);
    if (leaves === 'source') {
      // The source could not know, and released. Its memory is whole, and only the forfeit lets it go on.
      expect((await move.from.client.resumeOutgoing({ grant: move.grant })).guestState).toBe(GuestState.RUNNING);
      await expectOneGuestAt(move.from);
      whole = true;
    } else {
      for (const host of two.hosts) await host.client.supersede({ custody: custodyOf(guest, guest.epoch + 1) });
      expect(await states()).toEqual([undefined, undefined]);
      for (const { namespace } of two.hosts)
        await expect.poll(() => two.in(namespace, 'ip', '-o', 'link'), { timeout: 10_000 }).not.toContain(tapOf(guest));
    }
    await expectNoMirror(move, two.hosts);
  }, 60_000);
});
