import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EndState, TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import type { MigrationReport } from '@godwit/contract/gen/migration_pb';
import { leftAheadMs } from '@godwit/domain/guest-time';
import { type MemoryStream, memoryStreams } from '@godwit/domain/memory-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { demoImages } from '../testing/demo-images.ts';
import { controlGuest, guestCounter, untilGuestAnswers } from '../testing/guest-control.ts';
import {
  custodyOf,
  type Move,
  moveGuest,
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

const run = promisify(execFile);
let two: TwoHosts;
beforeAll(async () => {
  two = await startTwoHosts({
    images: await demoImages(),
    clockSkewMs: [0, 500],
  });
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

const running = async (number: number, commandLine = '', guestAgent = false): Promise<TestGuest> => {
  const guest = testGuest(two.hosts[0], { number, commandLine, guestAgent });
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
  return guest;
};
const destroy = async (guest: TestGuest, deleteDisks = true): Promise<void> => {
  for (const host of two.hosts)
    await host.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 50), deleteDisks, guest: guest.wire });
};
const done = (report: MigrationReport): readonly string[] => report.timeline.map(({ what }) => what);
const portOf = (guest: TestGuest): string => String(guest.wire.nics?.[0]?.portId).slice(0, 8);
const stateAt = async (guest: TestGuest, index: 0 | 1): Promise<GuestState | undefined> =>
  (await two.hosts[index].client.listGuests({})).guests.find((one) => one.serverId === guest.serverId)?.state;
const qemusOf = async (guest: TestGuest): Promise<number> =>
  (
    await two.in(
      two.hosts[0].namespace,
      'sh',
      '-c',
      `grep -l ${guest.serverId} /proc/[0-9]*/cmdline 2>/dev/null | xargs -r -n1 dirname | while read d; do grep -q qemu-system $d/comm && echo x; done | wc -l || true`,
    )
  ).trim() as unknown as number;

describe('a guest that writes memory', () => {
  test('moves back and forth five times, by every stream, keeps its memory, disk and connections, and one QEMU is left', async () => {
    // With a channel for the guest agent, which every stream carries along.
    const guest = await running(1, 'godwit.memory=10,16 godwit.disk=20', true);
    const before = await controlGuest(two, guest, 'status');
    // Its clock began with that of its machine, which has whole seconds.
    const boot = await guest.at.client.syncGuestTime({ custody: custodyOf(guest) });
    expect(Math.abs(boot.driftAfterMs ?? Number.NaN)).toBeLessThan(60);
    let counter = await guestCounter(two, guest);
    for (let turn = 0; turn < 5; turn += 1) {
      const to = two.hosts[turn % 2 === 0 ? 1 : 0];
      const begunAt = performance.now();
      // Each QEMU takes memory in one way, and sends it in another.
      const memoryStream = memoryStreams[turn % memoryStreams.length] ?? 'single';
      const moved = await moveGuest(guest, to, { memoryStream });
      expect(moved.source.timeline.find(({ what }) => what === 'stream set up')?.detail).toBe(`TLS, ${memoryStream}`);
      // 500 ms of clock skew between the hosts: what is left of it must lie within the stated error.
      expect(moved.blackoutMs).toBeGreaterThan(0);
      expect(moved.blackoutMs).toBeLessThan(performance.now() - begunAt);
      expect(Math.abs(Math.abs(moved.source.clockOffsetMs) - 500)).toBeLessThan(moved.source.clockErrorMs + 2);
      expect(moved.source.qemuTotalMs).toBeGreaterThan(0);
      expect(moved.source.ram?.dirtySyncCount).toBeGreaterThan(1n);
      expect(moved.destination.networkVerified).toBe(true);
      expect(moved.destination.cause).toBe('');
      const now = await guestCounter(two, guest);
      expect(now).toBeGreaterThan(counter);
      counter = now;
      if (turn > 1) continue;
      // Its clock stood still with it, and that of its new host is half a second off the old one's: seen by asking the guest itself, past its agent.
      const skewMs = turn === 0 ? 500 : 0;
      const wrongBy = moved.blackoutMs + (turn === 0 ? 500 : -500);
      const time = await to.client.syncGuestTime({ custody: custodyOf(guest) });
      expect(Math.abs((time.driftBeforeMs ?? 0) + wrongBy)).toBeLessThan(150);
      // After a long blackout it is ahead by so little that it is left.
      if ((time.driftBeforeMs ?? 0) > 0 && (time.driftBeforeMs ?? 0) <= leftAheadMs) continue;
      expect(Math.abs(time.driftAfterMs ?? Number.NaN)).toBeLessThan(60);
      const [sentAt, { clockUs }] = [Date.now(), await controlGuest(two, guest, 'status')];
      expect(clockUs / 1000 - skewMs).toBeGreaterThan(sentAt - 60);
      expect(clockUs / 1000 - skewMs).toBeLessThan(Date.now() + 60);
    }
    const after = await controlGuest(two, guest, 'status');
    expect(after.nonce).toBe(before.nonce);
    expect(after.memory.pagesCorrupt).toBe(0);
    expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });
    expect(Number(await qemusOf(guest))).toBe(1);
    const console = Buffer.from((await guest.at.client.readConsole({ serverId: guest.serverId })).data).toString();
    const ticks = [...console.matchAll(/tick (\d+) /g)].map((match) => Number(match[1]));
    expect(ticks).toEqual(Array.from({ length: ticks.length }, (_, index) => index + 1));
    await destroy(guest);
  }, 120_000);
});

test('a paused guest stays paused, and runs on at the destination when it is told to', async () => {
  const guest = await running(2);
  await guest.at.client.pauseGuest({ custody: custodyOf(guest) });
  const moved = await moveGuest(guest, two.hosts[1], { endState: EndState.PAUSED });
  expect(moved.destination.guestState).toBe(GuestState.PAUSED);
  expect(await stateAt(guest, 1)).toBe(GuestState.PAUSED);
  await guest.at.client.unpauseGuest({ custody: custodyOf(guest) });
  await untilGuestAnswers(two, guest);
  await destroy(guest);
}, 60_000);

test('a cancel while copying leaves the guest running at the source, and the destination forfeits', async () => {
  const guest = await running(3);
  const move = newMove(guest, two.hosts[1], { maxBandwidthBytes: 2_000_000 });
  await start(move, await prepare(guest, move));
  const cancelled = await move.from.client.cancelOutgoing({ grant: move.grant });
  expect(cancelled).toMatchObject({ state: 'cancelled', cause: 'CancelledByOperator', guestState: GuestState.RUNNING });
  // It has not waited for the copy, which goes on for a quarter of a minute at this rate.
  expect(done(cancelled)).not.toContain('STOP');
  const forfeited = await move.to.client.forfeitIncoming({ grant: move.grant });
  expect(forfeited.answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  expect(await two.in(move.to.namespace, 'ip', '-o', 'link')).not.toMatch(
    new RegExp(`gt${portOf(guest)}|gx${move.migrationId.slice(0, 8)}`),
  );
  await controlGuest(two, guest, 'status');
  // The next attempt, under a new epoch, works.
  await moveGuest(guest, two.hosts[1]);
  await destroy(guest);
}, 60_000);

test('a guest that powers itself off while it is copied ends the move by that name', async () => {
  const guest = await running(4);
  const move = newMove(guest, two.hosts[1], { maxBandwidthBytes: 2_000_000 });
  await start(move, await prepare(guest, move));
  await controlGuest(two, guest, 'poweroff');
  expect(await untilEnded(move.from, move.migrationId)).toMatchObject({
    state: 'guest-gone',
    cause: 'GuestPoweredOff',
    guestState: GuestState.SHUTOFF,
  });
  expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  expect(await stateAt(guest, 0)).toBe(GuestState.SHUTOFF);
  await destroy(guest);
}, 60_000);

test('a guest that a full disk has stopped does not leave, or is said to stand still where it came to; with room it runs on, and has every write', async () => {
  const guest = testGuest(two.hosts[0], { number: 13, commandLine: 'godwit.disk=100' });
  const pool = join(two.poolPath, 'disks', guest.serverId);
  const sh = (script: string): Promise<unknown> => run('sh', ['-c', script]);
  const untilStandsStill = (): Promise<void> =>
    expect.poll(() => stateAt(guest, guest.at === two.hosts[0] ? 0 : 1), { timeout: 20_000 }).toBe(GuestState.IO_ERROR);
  const fill = (): Promise<unknown> => sh(`cat /dev/zero > ${pool}/full 2>/dev/null || true`);
  const runsOn = async (): Promise<void> => {
    await sh(`rm ${pool}/full`);
    await guest.at.client.unpauseGuest({ custody: custodyOf(guest) });
    await untilGuestAnswers(two, guest);
    expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });
  };
  const stays = { state: 'failed', cause: 'GuestDiskError', guestState: GuestState.IO_ERROR, detail: expect.stringContaining('full') };
  await mkdir(pool, { recursive: true });
  await sh(`mount -t tmpfs -o size=48m tmpfs ${pool}`);
  try {
    // An agent has the mounts of when it was started.
    await Promise.all(two.hosts.map((host) => two.restart(host)));
    await startTestGuest(guest);
    await untilGuestAnswers(two, guest);
    // While the move begins.
    let move = newMove(guest, two.hosts[1]);
    const point = await holdAt(move.from, 'source.armed');
    const starting = start(move, await prepare(guest, move));
    await point.held();
    await fill();
    await untilStandsStill();
    await point.letGo();
    expect(await starting).toMatchObject(stays);
    expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
    // Before it does.
    move = newMove(guest, two.hosts[1]);
    expect(await start(move, await prepare(guest, move))).toMatchObject(stays);
    expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
    expect(await stateAt(guest, 0)).toBe(GuestState.IO_ERROR);
    await runsOn();
    // While it goes on.
    move = newMove(guest, two.hosts[1], { maxBandwidthBytes: 2_000_000 });
    await start(move, await prepare(guest, move));
    await fill();
    expect(await untilEnded(move.from, move.migrationId)).toMatchObject(stays);
    expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
    await runsOn();
    // And when nobody is there to end it: QEMU completes it.
    move = newMove(guest, two.hosts[1], { maxBandwidthBytes: 20_000_000 });
    await start(move, await prepare(guest, move));
    move.from.process.kill('SIGSTOP');
    try {
      await fill();
      await expect
        .poll(async () => (await move.to.client.getMigration({ migrationId: move.migrationId })).state, { timeout: 20_000 })
        .toBe('loaded');
    } finally {
      move.from.process.kill('SIGCONT');
    }
    expect(await untilEnded(move.from, move.migrationId)).toMatchObject({ state: 'released' });
    expect(await untilEnded(move.to, move.migrationId)).toMatchObject({ state: 'running', taken: TakeAnswer.TOOK_ALIVE });
    guest.held = guest.epoch;
    guest.at = move.to;
    const custody = custodyOf(guest);
    expect(await move.to.client.finishIncoming({ custody, migrationId: move.migrationId })).toMatchObject({
      cause: 'GuestDiskError',
      guestState: GuestState.IO_ERROR,
    });
    expect(await stateAt(guest, 1)).toBe(GuestState.IO_ERROR);
    await move.from.client.dropOutgoing({ custody, migrationId: move.migrationId, guest: guest.wire, deleteDisks: false });
    await runsOn();
  } finally {
    await destroy(guest, false);
    await sh(`umount -l ${pool}`);
  }
}, 120_000);

test("the destination's QEMU dies while copying: failed with cause, and the guest runs on", async () => {
  const guest = await running(5);
  const move = newMove(guest, two.hosts[1], { maxBandwidthBytes: 2_000_000 });
  await start(move, await prepare(guest, move));
  process.kill(await qemuPid(move.to, guest), 'SIGKILL');
  expect(await untilEnded(move.from, move.migrationId)).toMatchObject({
    state: 'failed',
    cause: 'StreamFailed',
    guestState: GuestState.RUNNING,
  });
  expect(await untilEnded(move.to, move.migrationId)).toMatchObject({ state: 'died', cause: 'DestinationDied' });
  expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await controlGuest(two, guest, 'status');
  await destroy(guest);
}, 60_000);

test("the source's QEMU dies while copying: lost, and the destination is discarded", async () => {
  const guest = await running(6);
  const move = newMove(guest, two.hosts[1], { maxBandwidthBytes: 2_000_000 });
  await start(move, await prepare(guest, move));
  process.kill(await qemuPid(move.from, guest), 'SIGKILL');
  expect(await untilEnded(move.from, move.migrationId)).toMatchObject({
    state: 'lost',
    cause: 'SourceDied',
    guestState: GuestState.CRASHED,
  });
  expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  expect(await stateAt(guest, 0)).toBe(GuestState.CRASHED);
  await destroy(guest);
}, 60_000);

test('a preparation is asked for twice, overtaken by its forfeit, and its source is dead before the copy begins', async () => {
  const guest = await running(12);
  // A controller whose question was lost asks again while the first is under way.
  const twice = newMove(guest, two.hosts[1]);
  const first = await holdAt(twice.to, 'destination.granted');
  const answers = [prepare(guest, twice), prepare(guest, twice)];
  await first.held();
  await first.letGo();
  const [ready, again] = await Promise.all(answers);
  expect(again?.ramPort).toBe(ready?.ramPort);
  expect((await twice.to.client.forfeitIncoming({ grant: twice.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);

  const overtaken = newMove(guest, two.hosts[1]);
  const second = await holdAt(overtaken.to, 'destination.granted');
  const refused = prepare(guest, overtaken).then(
    () => false,
    () => true,
  );
  await second.held();
  expect((await overtaken.to.client.forfeitIncoming({ grant: overtaken.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await second.letGo();
  expect(await refused).toBe(true);
  await expect.poll(async () => Number(await qemusOf(guest)), { timeout: 10_000 }).toBe(1);

  const headless = newMove(guest, two.hosts[1]);
  const listening = await prepare(guest, headless);
  process.kill(await qemuPid(headless.from, guest), 'SIGKILL');
  await expect(start(headless, listening)).rejects.toMatchObject({
    metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === 'ServerNotFound'),
  });
  expect((await headless.to.client.forfeitIncoming({ grant: headless.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await destroy(guest);
}, 60_000);

/** Channels send packets of half a mebibyte, whatever the cap: so that a copy does not end by itself, the guest writes faster than that. */
const neverDone = { maxBandwidthBytes: 2_000_000, downtimeLimitMs: 1 };
const writesFast = 'godwit.memory=200,18';

/** Over TLS, whose handshakes the channels make one by one. */
test('over several channels: cancelled, its destination killed, or frozen before the first byte: the guest runs on, and then moves', async () => {
  const guest = await running(13, writesFast);
  const begun = async (memoryStream: MemoryStream): Promise<Move> => {
    const move = newMove(guest, two.hosts[1], { memoryStream, ...neverDone });
    const ready = await prepare(guest, move);
    expect(ready).toMatchObject({ memoryStream, memoryStreamWhy: '' });
    await start(move, ready);
    return move;
  };
  const ended = async (move: Move, how: object): Promise<void> => {
    expect(await untilEnded(move.from, move.migrationId)).toMatchObject({ ...how, guestState: GuestState.RUNNING });
    expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  };
  for (const stream of ['multifd', 'zstd'] as const) {
    const cancelled = await begun(stream);
    await cancelled.from.client.cancelOutgoing({ grant: cancelled.grant });
    await ended(cancelled, { state: 'cancelled' });
    const killed = await begun(stream);
    process.kill(await qemuPid(killed.to, guest), 'SIGKILL');
    await ended(killed, { state: 'failed', cause: 'StreamFailed' });
  }
  const frozen = newMove(guest, two.hosts[1], { memoryStream: 'zstd' });
  const ready = await prepare(guest, frozen);
  process.kill(await qemuPid(frozen.to, guest), 'SIGSTOP');
  await start(frozen, ready);
  await ended(frozen, { state: 'failed', cause: 'StreamFailed' });
  await controlGuest(two, guest, 'memory 10 16');
  await moveGuest(guest, two.hosts[1], { memoryStream: 'zstd' });
  expect((await controlGuest(two, guest, 'status')).memory.pagesCorrupt).toBe(0);
  await destroy(guest);
}, 90_000);

test('a link that silently drops everything is noticed, cancelled, and the guest runs on, also over several channels', async () => {
  const guests = await Promise.all([running(7), running(14, writesFast)]);
  const moves = await Promise.all(
    guests.map(async (guest, index) => {
      const move = newMove(guest, two.hosts[1], { ...neverDone, memoryStream: index === 0 ? 'single' : 'multifd' });
      await start(move, await prepare(guest, move));
      return move;
    }),
  );
  // Dropped at the bridge between them: neither end sees a link go down.
  await two.in(two.fabricNamespace, 'tc', 'qdisc', 'add', 'dev', 'mg-1', 'root', 'tbf', 'rate', '8bit', 'burst', '1', 'limit', '1');
  try {
    const ends = await Promise.all(moves.map((move) => untilEnded(move.from, move.migrationId)));
    for (const end of ends) expect(end).toMatchObject({ state: 'failed', cause: 'StreamFailed', guestState: GuestState.RUNNING });
  } finally {
    await two.in(two.fabricNamespace, 'tc', 'qdisc', 'del', 'dev', 'mg-1', 'root');
  }
  for (const [index, guest] of guests.entries()) {
    await controlGuest(two, guest, 'status');
    const grant = moves[index]?.grant;
    expect((await two.hosts[1].client.forfeitIncoming({ grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
    await destroy(guest);
  }
}, 90_000);

test('requests that cannot be fulfilled are refused with a code, and change nothing', async () => {
  const guest = await running(8);
  const late = newMove(guest, two.hosts[1]);
  await expect(prepare(guest, { ...late, grant: { ...late.grant, destinationBootId: 'the boot before' } })).rejects.toMatchObject({
    metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === 'custody-boot-changed'),
  });
  expect(await two.in(late.to.namespace, 'ip', '-o', 'link')).not.toContain(`gt${portOf(guest)}`);
  const move = newMove(guest, two.hosts[1]);
  const block = move.to.client.prepareIncoming({
    grant: move.grant,
    guest: guest.wire,
    policy: { blockMigration: true, localDiskIds: ['root'] },
    source: { hostId: move.from.hostId, address: move.from.address, rpcPort: 8781 },
  });
  await expect(block).rejects.toMatchObject({
    metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === 'InvalidLocalStorage'),
  });
  const ready = await prepare(guest, move);
  await expect(move.to.client.unpauseGuest({ custody: custodyOf(guest, guest.epoch) })).rejects.toMatchObject({
    metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === 'custody-epoch-unknown'),
  });
  await start(move, ready);
  await expect(move.from.client.pauseGuest({ custody: custodyOf(guest) })).rejects.toMatchObject({
    metadata: expect.toSatisfy((headers: Headers) => /^custody-(migrating|released)$/.test(headers.get('godwit-code') ?? '')),
  });
  await untilEnded(move.to, move.migrationId);
  guest.held = guest.epoch;
  await move.to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
  await move.from.client.dropOutgoing({ custody: custodyOf(guest), migrationId: move.migrationId, guest: guest.wire });
  await destroy(guest);
}, 60_000);

test('a guest whose QEMU dies right after the take is named so, and never a success', async () => {
  const guest = await running(9);
  const move = newMove(guest, two.hosts[1]);
  await start(move, await prepare(guest, move));
  expect(await untilEnded(move.to, move.migrationId)).toMatchObject({ state: 'running' });
  guest.held = guest.epoch;
  process.kill(await qemuPid(move.to, guest), 'SIGKILL');
  const finished = await move.to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
  expect(finished).toMatchObject({ cause: 'GuestCrashedOnArrival', guestState: GuestState.CRASHED });
  // The source's copy is complete and stopped, and stays so: the guest was taken.
  expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.TOOK_DEAD);
  expect(await stateAt(guest, 0)).toBe(GuestState.RELEASED);
  await destroy(guest);
}, 60_000);

test('a destination that is frozen before the stop: the copy is given up, and the guest runs on', async () => {
  const guest = await running(10);
  const move = newMove(guest, two.hosts[1]);
  const ready = await prepare(guest, move);
  process.kill(await qemuPid(move.to, guest), 'SIGSTOP');
  await start(move, ready);
  expect(await untilEnded(move.from, move.migrationId, 20_000)).toMatchObject({
    state: 'failed',
    cause: 'StreamFailed',
    guestState: GuestState.RUNNING,
  });
  // A stopped process is killed all the same.
  expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await controlGuest(two, guest, 'status');
  await destroy(guest);
}, 60_000);

test('a copy that takes longer than its deadline is given up by that name', async () => {
  const guest = await running(11);
  const move = newMove(guest, two.hosts[1], { maxBandwidthBytes: 2_000_000, deadlineMs: 500 });
  await start(move, await prepare(guest, move));
  expect(await untilEnded(move.from, move.migrationId)).toMatchObject({
    state: 'failed',
    cause: 'DeadlineExceeded',
    guestState: GuestState.RUNNING,
  });
  expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await destroy(guest);
}, 60_000);
