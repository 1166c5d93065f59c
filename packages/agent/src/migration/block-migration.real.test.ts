import { mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EndState, TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { FaultPoint } from '../fault-point.ts';
import { demoImages } from '../testing/demo-images.ts';
import { controlGuest, untilGuestAnswers } from '../testing/guest-control.ts';
import {
  custodyOf,
  type Move,
  moveGuest,
  newMove,
  prepare,
  qemuPid,
  rootDisk,
  start,
  startTestGuest,
  type TestGuest,
  testGuest,
  untilEnded,
} from '../testing/test-guest.ts';
import { holdAt, startTwoHosts, type TestHost, type TwoHosts } from '../testing/two-hosts.ts';
import { delay } from './deadline.ts';

let two: TwoHosts;
/** What the image store has; a test may delete from it. */
const images: { [imageId: string]: string } = {};
beforeAll(async () => {
  Object.assign(images, await demoImages());
  two = await startTwoHosts({
    images,
    imageLocking: false,
  });
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

let number = 0;
async function running(
  options: Omit<Parameters<typeof testGuest>[1], 'number'>,
  before: (guest: TestGuest) => Promise<void> = async () => undefined,
): Promise<TestGuest> {
  number += 1;
  const guest = testGuest(two.hosts[0], { ...options, number });
  await before(guest);
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
  return guest;
}
const blank = { imageId: '', imageFormat: '' };
const dataDisk = { ...rootDisk('local', 'raw'), ...blank, diskId: 'data' };
/** Half of the data disk is not zeros. */
const filled = async (guest: TestGuest): Promise<void> => {
  const folder = join(guest.at.stateDir, 'local', 'disks', guest.serverId);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'data.raw'), Buffer.alloc(33_554_432, 'data'));
  await truncate(join(folder, 'data.raw'), 67_108_864);
};
const destroy = async (guest: TestGuest): Promise<void> => {
  for (const host of two.hosts)
    await host.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 50), deleteDisks: true, guest: guest.wire });
};
const otherThan = (host: TestHost): TestHost => (host === two.hosts[0] ? two.hosts[1] : two.hosts[0]);
/** The guest's folder in a host's local pool; empty: nothing of it is there. */
const filesAt = async (host: TestHost, { serverId }: TestGuest): Promise<string> => {
  const folder = `${host.stateDir}/local/disks/${serverId}`;
  return two.in(host.namespace, 'sh', '-c', `ls -d ${folder}/* ${folder} 2>/dev/null || true`);
};
const guestAt = async (host: TestHost, { serverId }: TestGuest) =>
  (await host.client.listGuests({})).guests.find((one) => one.serverId === serverId);
const codeIs = (code: string) => ({ metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === code) });
/** Every numbered record that the guest was told is safe can be read back. */
const nothingLost = async (guest: TestGuest): Promise<void> => {
  await untilGuestAnswers(two, guest);
  expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });
};
/** The guest's QEMU serves its monitor to the agent alone, so its sockets are looked at: a mirror that is left would hold one. */
const connectionsOf = async (host: TestHost, port: number): Promise<string> =>
  two.in(host.namespace, 'ss', '-t', '-n', '-H', 'state', 'established', 'dport', '=', String(port));

test('several disks, qcow2 on an image and raw: they move there and back, a shared one stays, and no acknowledged write is lost', async () => {
  const disks = [
    rootDisk('local'),
    { ...rootDisk('local', 'raw'), ...blank, diskId: 'second' },
    { ...rootDisk('shared'), ...blank, diskId: 'third' },
  ];
  const guest = await running({ commandLine: 'godwit.memory=10,16 godwit.disk=100', disks });
  // Deleted in the store since: the destination gets what lies below the disk, and the kernel, from the source.
  const stored = { ...images };
  for (const image of Object.keys(images)) delete images[image];
  for (const to of [two.hosts[1], two.hosts[0]]) {
    const from = guest.at;
    const { source, destination } = await moveGuest(guest, to);
    expect(source.disks.map(({ diskId, ready }) => [diskId, ready])).toEqual([
      ['root', true],
      ['second', true],
    ]);
    for (const disk of source.disks) expect(disk.offsetBytes).toBe(disk.lengthBytes);
    expect(source.timeline).toContainEqual(expect.objectContaining({ what: 'disks whole' }));
    expect(destination.timeline).toContainEqual(expect.objectContaining({ what: 'disks exported', detail: 'TLS' }));
    await nothingLost(guest);
    await expect.poll(() => filesAt(from, guest), { timeout: 10_000 }).toBe('');
    const [used = 0] = (await two.in(to.namespace, 'du', '-sk', `${to.stateDir}/local/disks/${guest.serverId}`)).split('\t').map(Number);
    // 64 MiB each; what was never written takes no room.
    expect(used).toBeLessThan(24_576);
  }
  Object.assign(images, stored);
  await destroy(guest);
}, 120_000);

test('no room at the destination is found before anything begins', async () => {
  const guest = testGuest(two.hosts[0], { number: 99, disks: [{ ...rootDisk('local'), sizeBytes: 2n ** 50n }] });
  await expect(prepare(guest, newMove(guest, two.hosts[1]))).rejects.toMatchObject(codeIs('NoSpace'));
  expect(await guestAt(two.hosts[1], guest)).toBeUndefined();
  expect(await filesAt(two.hosts[1], guest)).toBe('');
});

/** One guest on a raw local disk, which every test leaves running where it finds it, or at the other host. */
describe('while its disks are copied', () => {
  let guest: TestGuest;
  let move: Move;
  let nbdPort = 1;
  beforeAll(async () => {
    // At the copies' cap its data alone takes half a minute: they do not end by themselves.
    guest = await running({ commandLine: 'godwit.disk=100', disks: [rootDisk('local', 'raw'), dataDisk] }, filled);
  }, 60_000);
  afterAll(async () => {
    await two.mend();
    await destroy(guest);
  }, 60_000);
  beforeEach(async () => {
    await two.mend();
    // What a test that failed has left must not fail the next one.
    if (move !== undefined && guest.at === move.from) {
      await move.from.client.cancelOutgoing({ grant: move.grant }).catch(() => undefined);
      await move.to.client.forfeitIncoming({ grant: move.grant }).catch(() => undefined);
    }
    move = newMove(guest, otherThan(guest.at), { maxBandwidthBytes: 2_000_000 });
  }, 60_000);

  const copying = async (): Promise<void> => {
    const ready = await prepare(guest, move);
    nbdPort = ready.nbdPort;
    await start(move, ready);
    await expect
      .poll(async () => (await move.from.client.getMigration({ migrationId: move.migrationId })).disks[1], { timeout: 20_000 })
      .toMatchObject({ ready: false, lengthBytes: expect.toSatisfy((bytes: bigint) => bytes > 0n) });
  };
  /** The guest runs on at its source, the destination has forfeited, and nothing of the attempt is left. */
  const runsOnAtTheSource = async (): Promise<void> => {
    expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
    expect((await guestAt(move.from, guest))?.state).toBe(GuestState.RUNNING);
    await nothingLost(guest);
    await expect.poll(() => filesAt(move.to, guest), { timeout: 10_000 }).toBe('');
    await expect.poll(() => connectionsOf(move.from, nbdPort), { timeout: 10_000 }).toBe('');
  };
  /** What goes to a host is held up at the bridge before it: neither end sees a link go down. */
  const overSlowLink = async (to: TestHost, shape: readonly string[], work: () => Promise<unknown>): Promise<void> => {
    const port = to === two.hosts[0] ? 'mg-0' : 'mg-1';
    const link = (verb: string, ...how: readonly string[]) =>
      two.in(two.fabricNamespace, 'tc', '-s', 'qdisc', verb, 'dev', port, 'root', ...how);
    await link('add', 'tbf', ...shape);
    try {
      await work();
    } finally {
      // What is queued goes through: dropped with the queue it would cost each stream seconds of its own patience.
      await link('change', 'tbf', 'rate', '10gbit', 'burst', '10mb', 'latency', '1s');
      await expect.poll(() => link('show'), { timeout: 10_000 }).toContain('backlog 0b');
      await link('del');
    }
  };
  /** The guest was taken at the destination: brings the move to its end. */
  const arrived = async (): Promise<void> => {
    expect(await untilEnded(move.to, move.migrationId)).toMatchObject({ state: 'running', taken: TakeAnswer.TOOK_ALIVE });
    guest.held = guest.epoch;
    guest.at = move.to;
    const custody = custodyOf(guest);
    await move.to.client.finishIncoming({ custody, migrationId: move.migrationId });
    await move.from.client.dropOutgoing({ custody, migrationId: move.migrationId, guest: guest.wire, deleteDisks: true });
    await nothingLost(guest);
    await expect.poll(() => filesAt(move.from, guest), { timeout: 10_000 }).toBe('');
  };

  test('while a disk is copied for an image no move begins; neither who leaves nor the agent’s death leaves anything, and the next copy is whole', async () => {
    const { at } = guest;
    const before = (await filesAt(at, guest)).split('\n');
    const order = { guest: guest.wire, diskId: 'data' };
    const point = await holdAt(at, 'snapshot.copying');
    const copy = at.client.snapshotDisk({ ...order, custody: custodyOf(guest) })[Symbol.asyncIterator]();
    const first = copy.next();
    first.catch(() => undefined);
    await point.held();
    const ready = await prepare(guest, move);
    await expect(start(move, ready)).rejects.toMatchObject(codeIs('Conflict'));
    await two.restart(at);
    await expect(first).rejects.toBeDefined();
    await point.letGo();
    await two.mend();
    await at.client.cancelOutgoing({ grant: move.grant });
    await move.to.client.forfeitIncoming({ grant: move.grant });
    // And the other way round.
    move = newMove(guest, otherThan(at), { maxBandwidthBytes: 2_000_000 });
    await copying();
    await expect(
      (async () => {
        for await (const _chunk of at.client.snapshotDisk({ ...order, custody: custodyOf(guest) })) break;
      })(),
    ).rejects.toMatchObject(codeIs('custody-migrating'));
    await at.client.cancelOutgoing({ grant: move.grant });
    await runsOnAtTheSource();
    // Read once and left; then whole.
    for await (const _chunk of at.client.snapshotDisk({ ...order, custody: custodyOf(guest) })) break;
    const file = join(two.dir, 'copy.qcow2');
    await writeFile(file, '');
    const handle = await open(file, 'r+');
    try {
      for await (const { offset, data, fileBytes } of at.client.snapshotDisk({ ...order, custody: custodyOf(guest) })) {
        if (data.length === 0) await handle.truncate(Number(fileBytes));
        else await handle.write(data, 0, data.length, Number(offset));
      }
    } finally {
      await handle.close();
    }
    const folder = join(at.stateDir, 'local', 'disks', guest.serverId);
    expect(await two.in(at.namespace, 'qemu-img', 'compare', '-U', '-f', 'qcow2', '-F', 'raw', file, join(folder, 'data.raw'))).toMatch(
      /identical/,
    );
    await expect.poll(async () => (await filesAt(at, guest)).split('\n'), { timeout: 10_000 }).toEqual(before);
    await expect(
      (async () => {
        for await (const _chunk of at.client.snapshotDisk({ ...order, custody: custodyOf(guest, guest.held + 1) })) break;
      })(),
    ).rejects.toMatchObject(codeIs('custody-epoch-unknown'));
    expect((await guestAt(at, guest))?.state).toBe(GuestState.RUNNING);
    await nothingLost(guest);
  }, 90_000);

  test('a link that takes longer for one operation than a silence may last is no dead one; a cancel does not wait for the copy, and the next move works', async () => {
    await copying();
    const report = () => move.from.client.getMigration({ migrationId: move.migrationId });
    const copied = async () => (await report()).disks.reduce((sum, { offsetBytes }) => sum + offsetBytes, 0n);
    // Half a minute for the 4 MiB of an operation.
    await overSlowLink(move.to, ['rate', '1mbit', 'burst', '64kb', 'latency', '1s'], async () => {
      const policy = { ...move.policy, maxBandwidthBytes: 0n };
      await move.from.client.setMigrationPolicy({ custody: custodyOf(guest), migrationId: move.migrationId, policy });
      for (let [before, stoodAt] = [await copied(), performance.now()]; performance.now() - stoodAt < 6_000; await delay(100)) {
        const now = await copied();
        if (now !== before) [before, stoodAt] = [now, performance.now()];
        expect(await report()).toMatchObject({ state: 'copying' });
      }
    });
    const begunAt = performance.now();
    const cancelled = await move.from.client.cancelOutgoing({ grant: move.grant });
    expect(performance.now() - begunAt).toBeLessThan(5_000);
    expect(cancelled).toMatchObject({ state: 'cancelled', cause: 'CancelledByOperator', guestState: GuestState.RUNNING });
    await runsOnAtTheSource();
    // A paused guest moves with its disks too, and stays paused.
    await guest.at.client.pauseGuest({ custody: custodyOf(guest) });
    const { destination } = await moveGuest(guest, otherThan(guest.at), { endState: EndState.PAUSED });
    expect(destination.guestState).toBe(GuestState.PAUSED);
    await guest.at.client.unpauseGuest({ custody: custodyOf(guest) });
    await nothingLost(guest);
  }, 90_000);

  test("the destination's QEMU is killed", async () => {
    await copying();
    process.kill(await qemuPid(move.to, guest), 'SIGKILL');
    expect(await untilEnded(move.from, move.migrationId)).toMatchObject({
      state: 'failed',
      cause: 'StreamFailed',
      guestState: GuestState.RUNNING,
    });
    expect(await untilEnded(move.to, move.migrationId)).toMatchObject({ state: 'died', cause: 'DestinationDied' });
    await runsOnAtTheSource();
  }, 90_000);

  test("the destination's QEMU is frozen before they begin", async () => {
    const ready = await prepare(guest, move);
    process.kill(await qemuPid(move.to, guest), 'SIGSTOP');
    await expect(start(move, ready)).rejects.toThrow(/does not take disks/);
    await runsOnAtTheSource();
  }, 90_000);

  test('the link drops everything in silence', async () => {
    await copying();
    await overSlowLink(move.to, ['rate', '8bit', 'burst', '1', 'limit', '1'], async () => {
      const ended = await untilEnded(move.from, move.migrationId);
      expect(ended).toMatchObject({ state: 'failed', cause: 'StreamFailed', guestState: GuestState.RUNNING });
      expect(ended.detail).toContain('stood still');
    });
    await runsOnAtTheSource();
  }, 90_000);

  test("the source's agent is killed: failed with that cause, and its mirrors are gone", async () => {
    await copying();
    await two.restart(move.from);
    const ended = await untilEnded(move.from, move.migrationId);
    expect(ended).toMatchObject({ state: 'failed', cause: 'StreamFailed' });
    expect(ended.detail).toContain('agent was restarted while the disks were copied');
    await runsOnAtTheSource();
  }, 90_000);

  test("the destination's agent is killed: the copy goes on, and the move comes to its end", async () => {
    await copying();
    await two.restart(move.to);
    const policy = { ...move.policy, maxBandwidthBytes: 0n };
    await move.from.client.setMigrationPolicy({ custody: custodyOf(guest), migrationId: move.migrationId, policy });
    expect(await untilEnded(move.from, move.migrationId)).toMatchObject({ state: 'released' });
    await arrived();
  }, 90_000);

  test('a guest that writes faster than the link carries waits for the destination, and nothing is owed at the stop', async () => {
    await controlGuest(two, guest, 'disk 1000');
    move = newMove(guest, otherThan(guest.at));
    const marks = async (): Promise<readonly string[]> =>
      (await move.from.client.getMigration({ migrationId: move.migrationId })).timeline.map(({ what }) => what);
    const inStep = await holdAt(move.from, 'source.mirrors-ready');
    await start(move, await prepare(guest, move));
    await inStep.held();
    const capped = async (maxBandwidthBytes: bigint): Promise<unknown> =>
      move.from.client.setMigrationPolicy({
        custody: custodyOf(guest),
        migrationId: move.migrationId,
        policy: { ...move.policy, maxBandwidthBytes },
      });
    // For memory, so that it is under way when the link becomes slow and not yet there: a mirror that is in step heeds no cap of QEMU's.
    await capped(1_000_000n);
    await inStep.letGo();
    await expect.poll(marks, { timeout: 20_000 }).toContain('QEMU active');
    // Slower than a guest that shares its processor with others writes, and with a queue in which neither stream starves the other.
    await overSlowLink(move.to, ['rate', '1mbit', 'burst', '64kb', 'latency', '1s'], async () => {
      await expect.poll(marks, { timeout: 40_000 }).toContain('disk writes wait for the destination');
    });
    await capped(0n);
    expect(await untilEnded(move.from, move.migrationId)).toMatchObject({ state: 'released' });
    await controlGuest(two, guest, 'disk 100');
    await arrived();
  }, 120_000);

  test("the destination's agent is killed when it has made the disks: its forfeit deletes them", async () => {
    await two.restart(move.to, 'destination.disks-made=kill');
    await expect(prepare(guest, move)).rejects.toThrow();
    await two.restart(move.to);
    await runsOnAtTheSource();
  }, 90_000);

  const points: readonly [FaultPoint][] = [['source.mirrors-ready'], ['source.pre-switchover'], ['source.disks-whole']];
  test.each(points)(
    "the source's agent dies at %s: one copy, nothing lost",
    async (point) => {
      await two.restart(guest.at, `${point}=kill`);
      move = newMove(guest, otherThan(guest.at));
      await start(move, await prepare(guest, move)).catch(() => undefined);
      await expect.poll(() => move.from.process.signalCode, { timeout: 20_000 }).toBe('SIGKILL');
      await two.restart(move.from);
      const ended = await untilEnded(move.from, move.migrationId);
      if (ended.state === 'released') return arrived();
      expect(ended).toMatchObject({ state: 'failed', guestState: GuestState.RUNNING });
      await runsOnAtTheSource();
    },
    90_000,
  );

  test('without TLS only when both hosts say so', async () => {
    const withoutTls = async (host: TestHost): Promise<void> => {
      const file = join(host.stateDir, 'agent.json');
      await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), diskStreamTls: false }));
      await two.restart(host);
    };
    await withoutTls(move.to);
    await expect(start(move, await prepare(guest, move))).rejects.toMatchObject(codeIs('ForbiddenCombination'));
    await runsOnAtTheSource();
    await withoutTls(move.from);
    const { destination } = await moveGuest(guest, otherThan(guest.at));
    expect(destination.timeline).toContainEqual(expect.objectContaining({ what: 'disks exported', detail: 'without TLS' }));
    await nothingLost(guest);
  }, 90_000);

  test("the source's QEMU is killed: lost, and what was copied is discarded", async () => {
    await copying();
    process.kill(await qemuPid(move.from, guest), 'SIGKILL');
    expect(await untilEnded(move.from, move.migrationId)).toMatchObject({
      state: 'lost',
      cause: 'SourceDied',
      guestState: GuestState.CRASHED,
    });
    expect((await move.to.client.forfeitIncoming({ grant: move.grant })).answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
    await expect.poll(() => filesAt(move.to, guest), { timeout: 10_000 }).toBe('');
    expect(await filesAt(move.from, guest)).toContain('root.raw');
  }, 90_000);
});
