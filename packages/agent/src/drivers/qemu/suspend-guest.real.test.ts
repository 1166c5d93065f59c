import { existsSync } from 'node:fs';
import { readdir, rename, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { EndState, TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import type { HostFacts } from '@godwit/domain/host';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FaultPoint } from '../../fault-point.ts';
import { diskFacts } from '../../storage/disk-store.ts';
import { demoImages } from '../../testing/demo-images.ts';
import { controlGuest, untilGuestAnswers } from '../../testing/guest-control.ts';
import { custodyOf, type GrantInit, moveGuest, startTestGuest, type TestGuest, testGuest } from '../../testing/test-guest.ts';
import { ended, holdAt, startTwoHosts, type TwoHosts } from '../../testing/two-hosts.ts';

let two: TwoHosts;
let guest: TestGuest;
/** Of the boot that the guest has come from: every run of its memory has the same. */
let nonce: string;

beforeAll(async () => {
  two = await startTwoHosts({ images: await demoImages(), imageLocking: false, agentConfig: { modelPowerLoss: true } });
  guest = testGuest(two.hosts[0], { number: 1, commandLine: 'godwit.disk=20' });
  await boot();
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

async function boot(): Promise<void> {
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
  nonce = (await controlGuest(two, guest, 'status')).nonce;
}

const here = async (): Promise<GuestReport | undefined> =>
  (await guest.at.client.listGuests({})).guests.find((one) => one.serverId === guest.serverId);
const memories = async (): Promise<readonly string[]> => {
  const folder = join(two.poolPath, 'disks', guest.serverId);
  return existsSync(folder) ? (await readdir(folder)).filter((name) => name.startsWith('memory-')) : [];
};
const qemus = async (): Promise<readonly string[]> =>
  (await two.in(guest.at.namespace, 'ps', '-eo', 'args'))
    .split('\n')
    .filter((line) => /qemu-system/.test(line) && line.includes(guest.serverId));

const diskFiles = () => (guest.wire.disks ?? []).map((disk) => join(two.poolPath, 'disks', guest.serverId, `${disk.diskId}.qcow2`));
const diskSize = async (path: string) => (await diskFacts(path, 'qcow2'))?.virtualSizeBytes;

const suspend = () => guest.at.client.suspendGuest({ custody: custodyOf(guest) });
const resumeGrant = (memory: number): GrantInit => {
  guest.epoch += 1;
  return {
    serverId: guest.serverId,
    destinationHostId: guest.at.hostId,
    previousEpoch: BigInt(guest.epoch - 1),
    epoch: BigInt(guest.epoch),
    fence: 1n,
    endState: EndState.RUNNING,
    destinationBootId: guest.at.bootId,
    memoryEpoch: BigInt(memory),
  };
};
/** What the controller does: the grant names the epoch that was suspended. */
async function resume(): Promise<void> {
  await guest.at.client.startGuest({ grant: resumeGrant(guest.held), guest: guest.wire });
  guest.held = guest.epoch;
}
const codeIs = (code: string) => ({ metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === code) });

async function expectItRunsOn(): Promise<void> {
  await expect.poll(async () => (await here())?.state, { timeout: 10_000 }).toBe(GuestState.RUNNING);
  await expect.poll(qemus, { timeout: 10_000 }).toHaveLength(1);
  expect((await controlGuest(two, guest, 'status')).nonce).toBe(nonce);
  expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });
  await expect.poll(memories, { timeout: 10_000 }).toEqual([]);
}
async function expectItIsSuspended(): Promise<void> {
  expect(await here()).toMatchObject({ state: GuestState.SUSPENDED, copyEpoch: BigInt(guest.held) });
  // That its process is dead the agent hears a moment later.
  await expect.poll(async () => (await here())?.pid, { timeout: 10_000 }).toBe(0);
  await expect.poll(qemus, { timeout: 10_000 }).toEqual([]);
  expect(await memories()).toEqual([`memory-${guest.held}`]);
}

/** The agent is held at the point while `call` is under way, and then killed (kill -9), or its host loses its power; another agent follows. */
async function dieAt(point: FaultPoint, call: () => Promise<unknown>, how: 'agent' | 'power'): Promise<void> {
  const hold = await holdAt(guest.at, point);
  const failed = call().then(
    () => 'answered',
    () => 'failed',
  );
  try {
    await hold.held();
    if (how === 'power') await two.powerLoss(guest.at);
    else await ended(guest.at.process);
  } finally {
    await hold.letGo();
  }
  expect(await failed).toBe('failed');
  await two.restart(guest.at);
}

test('a suspended guest has no process, and goes on from its file, which is spent; it can be moved then', async () => {
  const { factsJson } = await guest.at.client.getHost({});
  expect((JSON.parse(factsJson) as HostFacts).suspends).toBe(true);
  const before = await controlGuest(two, guest, 'status');
  expect(await suspend()).toMatchObject({ state: GuestState.SUSPENDED });
  await expectItIsSuspended();
  // Asked again: it is.
  expect(await suspend()).toMatchObject({ state: GuestState.SUSPENDED });
  // Nothing but its resume runs it, or touches what it will find.
  const second = { ...resumeGrant(0), epoch: BigInt(guest.epoch) };
  await expect(guest.at.client.startGuest({ grant: second, guest: guest.wire })).rejects.toMatchObject(codeIs('custody-copy-present'));
  for (const call of [
    () => guest.at.client.unpauseGuest({ custody: custodyOf(guest) }),
    () => guest.at.client.rebootGuest({ custody: custodyOf(guest), hard: true }),
    () => guest.at.client.stopGuest({ custody: custodyOf(guest) }),
  ])
    await expect(call()).rejects.toMatchObject(codeIs('custody-epoch-unknown'));
  await expectItIsSuspended();
  await resume();
  await expectItRunsOn();
  const after = await controlGuest(two, guest, 'status');
  expect(after.heartbeat.counter).toBeGreaterThanOrEqual(before.heartbeat.counter);
  await moveGuest(guest, two.hosts[1]);
  await expectItRunsOn();
});

test('a memory that is damaged or not there is refused by name; the guest stays suspended, and resumes when it is whole again', async () => {
  await suspend();
  const path = join(two.poolPath, 'disks', guest.serverId, `memory-${guest.held}`);
  const memory = guest.held;
  await rename(path, `${path}.away`);
  await expect(guest.at.client.startGuest({ grant: resumeGrant(memory), guest: guest.wire })).rejects.toMatchObject(
    codeIs('SavedMemoryUnusable'),
  );
  await rename(`${path}.away`, path);
  const { size } = await stat(path);
  await truncate(path, size + 1);
  await expect(guest.at.client.startGuest({ grant: resumeGrant(memory), guest: guest.wire })).rejects.toThrow(
    new RegExp(`its file has ${size + 1} bytes, and was ${size} long`),
  );
  await truncate(path, size);
  // QEMU would load it.
  const wire = { ...guest.wire, ramMib: 128n };
  await expect(guest.at.client.startGuest({ grant: resumeGrant(memory), guest: wire })).rejects.toThrow(/ram MiB: 96, now 128/);
  // And nothing of it is grown before that was seen.
  const disks = await Promise.all(diskFiles().map(diskSize));
  const grown = (guest.wire.disks ?? []).map((disk) => ({ ...disk, sizeBytes: (disk.sizeBytes ?? 0n) + 1_048_576n }));
  const larger = { ...guest.wire, disks: grown } as typeof guest.wire;
  await expect(guest.at.client.startGuest({ grant: resumeGrant(memory), guest: larger })).rejects.toThrow(/another machine \(disks:/);
  expect(disks.length).toBeGreaterThan(0);
  expect(await Promise.all(diskFiles().map(diskSize))).toEqual(disks);
  await expectItIsSuspended();
  await resume();
  await expectItRunsOn();
});

test('who asks again for what is under way gets its result; a hard reboot does not wait for a memory that is being saved', async () => {
  const twice = async (point: FaultPoint, call: () => Promise<GuestReport>): Promise<void> => {
    const hold = await holdAt(guest.at, point);
    const answers = [call()];
    try {
      await hold.held();
      answers.push(call());
      // Refused, it would be at once.
      await expect(Promise.race([answers[1], new Promise((resolve) => setTimeout(resolve, 300, 'waits'))])).resolves.toBe('waits');
    } finally {
      await hold.letGo();
    }
    expect((await Promise.all(answers)).map(({ state }) => state)).toHaveLength(2);
  };
  await twice('suspend.saving', suspend);
  await expectItIsSuspended();
  const grant = resumeGrant(guest.held);
  await twice('resume.loaded', () => guest.at.client.startGuest({ grant, guest: guest.wire }));
  guest.held = guest.epoch;
  await expectItRunsOn();

  const hold = await holdAt(guest.at, 'suspend.saving');
  const saving = suspend().then(
    () => null,
    (error: unknown) => error,
  );
  const reboot = () => guest.at.client.rebootGuest({ custody: custodyOf(guest), hard: true });
  try {
    await hold.held();
    await expect(reboot()).rejects.toMatchObject(codeIs('Conflict'));
  } finally {
    await hold.letGo();
  }
  expect(await saving).toMatchObject(codeIs('SuspendFailed'));
  await reboot();
  await untilGuestAnswers(two, guest);
  await expect.poll(async () => (await controlGuest(two, guest, 'status')).nonce, { timeout: 60_000 }).not.toBe(nonce);
  nonce = (await controlGuest(two, guest, 'status')).nonce;
  await expectItRunsOn();
});

test('an agent that dies (kill -9) while it saves or loads leaves one guest: it runs, or is whole in its file', async () => {
  await dieAt('suspend.saving', suspend, 'agent');
  await expectItRunsOn();

  await dieAt('suspend.recorded', suspend, 'agent');
  await expectItIsSuspended();

  const loading = resumeGrant(guest.held);
  await dieAt('resume.loaded', () => guest.at.client.startGuest({ grant: loading, guest: guest.wire }), 'agent');
  // What was loaded has not run, and is given up.
  const { answer } = await guest.at.client.forfeitIncoming({ grant: loading, guest: guest.wire });
  expect(answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await expectItIsSuspended();

  await dieAt('resume.taking', resume, 'agent');
  guest.held = guest.epoch;
  await expectItRunsOn();
});

test('a host that loses its power while it saves or loads: the memory is used once, or not at all', async () => {
  await dieAt('suspend.recorded', suspend, 'power');
  await expectItIsSuspended();

  const loading = resumeGrant(guest.held);
  await dieAt('resume.loaded', () => guest.at.client.startGuest({ grant: loading, guest: guest.wire }), 'power');
  // Proven in any boot: the take would be in the journal.
  const { answer } = await guest.at.client.forfeitIncoming({ grant: loading, guest: guest.wire });
  expect(answer).toBe(TakeAnswer.HAS_NOT_AND_FORFEITS);
  await expectItIsSuspended();
  await resume();
  await expectItRunsOn();

  await suspend();
  const spent = guest.held;
  await dieAt('resume.taking', resume, 'power');
  // Perhaps it has run: the memory is not loaded again, whatever there is still of its file.
  expect(await qemus()).toEqual([]);
  await expect(guest.at.client.startGuest({ grant: resumeGrant(spent), guest: guest.wire })).rejects.toMatchObject(
    codeIs('custody-no-memory'),
  );
  await expect.poll(memories, { timeout: 10_000 }).toEqual([]);
  const before = nonce;
  await boot();
  expect(nonce).not.toBe(before);
  expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });

  await dieAt('suspend.saving', suspend, 'power');
  expect((await here())?.state).not.toBe(GuestState.RUNNING);
  await expect.poll(memories, { timeout: 10_000 }).toEqual([]);
});
