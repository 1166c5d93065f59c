import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultPolicy } from '@godwit/domain/convergence/policy';
import type { Grant } from '@godwit/domain/custody/grant';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ProjectId, type ServerId } from '@godwit/domain/ids';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTestCa } from '../../identity/test-ca.ts';
import type { HostDriver, MigrationPolicy, PeerAddress } from '../host-driver.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { openSimulatedHost, type SimulatedHostOptions } from './open-simulated-host.ts';
import type { SimulatedTimings } from './simulated-timings.ts';

const fast: SimulatedTimings = {
  qemuStartMs: 1,
  diskCreateMs: 0,
  bandwidthBytesPerSecond: 0,
  dirtyBytesPerSecond: 0,
  blackoutMs: 1,
  failureRate: 0,
};
const slow: SimulatedTimings = { ...fast, bandwidthBytesPerSecond: 1_000_000, dirtyBytesPerSecond: 0 };
const policy: MigrationPolicy = {
  downtimeLimitMs: 30,
  maxBandwidthBytes: 0,
  blockMigration: false,
  diskOverCommit: false,
  localDiskIds: [],
  networkSwitch: true,
  deadlineMs: 0,
  convergence: null,
  forceComplete: false,
};
const fence = asFence(1);

let directory: string;
let drivers: HostDriver[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gw-sim-'));
  drivers = [];
});
afterEach(async () => {
  for (const driver of drivers) await driver.close();
  await rm(directory, { recursive: true, force: true });
});

const ca = await createTestCa();
async function optionsFor(name: string, hypervisorType: 'QEMU' | 'ironic', timings: SimulatedTimings): Promise<SimulatedHostOptions> {
  const identity = { current: await ca.host(randomUUID(), ['127.0.0.1']) };
  return {
    host: { name, hypervisorType, cores: 8, ramMib: 65_536, diskGib: 100 },
    stateDir: join(directory, name),
    identity,
    bootId: as<BootId>('boot-1'),
    controllerUrl: 'https://127.0.0.1:1',
    timings,
  };
}
async function open(options: SimulatedHostOptions): Promise<HostDriver> {
  const driver = await openSimulatedHost(options);
  drivers.push(driver);
  return driver;
}
const guest = (): WantedGuest => ({
  serverId: as<ServerId>(randomUUID()),
  projectId: as<ProjectId>('p'),
  name: 'g',
  hostname: 'g',
  vcpus: 1,
  ramMib: 512,
  machineType: '',
  cpuModel: '',
  deviceLayout: 1,
  disks: [],
  nics: [],
  directBoot: null,
});
const startGrant = (wanted: WantedGuest, at: HostDriver, epoch = 1): Grant => ({
  serverId: wanted.serverId,
  migrationId: null,
  source: null,
  destination: at.hostId,
  epoch: asEpoch(epoch),
  previousEpoch: asEpoch(epoch - 1),
  fence,
  endState: 'running',
  bootId: at.bootId,
  postCopy: false,
});
const moveGrant = (wanted: WantedGuest, from: HostDriver, to: HostDriver, epoch = 2): Grant => ({
  ...startGrant(wanted, to, epoch),
  migrationId: as<MigrationId>(randomUUID()),
  source: from.hostId,
});
const peer = (driver: HostDriver): PeerAddress => ({ hostId: driver.hostId, address: '127.0.0.1', rpcPort: 1 });
const stateOn = async (driver: HostDriver, wanted: WantedGuest): Promise<string | undefined> =>
  (await driver.guests()).find((one) => one.serverId === wanted.serverId)?.state;

async function until(holds: () => boolean): Promise<void> {
  for (const limit = performance.now() + 15_000; !holds(); ) {
    if (performance.now() > limit) throw new Error('it did not happen within 15 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a guest starts, pauses, stops, and is still there for the next agent', async () => {
  const options = await optionsFor('s1', 'QEMU', fast);
  const first = await open(options);
  const wanted = guest();
  expect((await first.startGuest(startGrant(wanted, first), wanted)).state).toBe('running');
  expect((await first.startGuest(startGrant(wanted, first), wanted)).state).toBe('running');
  await first.close();
  drivers = [];
  const second = await open(options);
  expect(await stateOn(second, wanted)).toBe('running');
  const authority = { serverId: wanted.serverId, epoch: asEpoch(1), fence };
  expect((await second.pauseGuest(authority)).state).toBe('paused');
  expect((await second.unpauseGuest(authority)).state).toBe('running');
  expect((await second.stopGuest(authority, 1_000)).state).toBe('shutoff');
});

test('after a reboot of the host nothing runs', async () => {
  const options = await optionsFor('s1', 'QEMU', fast);
  const first = await open(options);
  const wanted = guest();
  await first.startGuest(startGrant(wanted, first), wanted);
  await first.close();
  drivers = [];
  expect(await stateOn(await open({ ...options, bootId: as<BootId>('boot-2') }), wanted)).toBe('shutoff');
});

test('a guest moves, and is at one host only', async () => {
  const [a, b] = [await open(await optionsFor('a', 'QEMU', fast)), await open(await optionsFor('b', 'QEMU', fast))];
  const wanted = guest();
  await a.startGuest(startGrant(wanted, a), wanted);
  const grant = moveGrant(wanted, a, b);
  const ready = await b.prepareIncoming(grant, wanted, policy, peer(a));
  await a.startOutgoing(grant, ready, policy, peer(b));
  await until(() => b.migrations()[0]?.state === 'running');
  expect(a.migrations()[0]?.state).toBe('released');
  expect([await stateOn(a, wanted), await stateOn(b, wanted)]).toEqual(['released', 'running']);
  await b.finishIncoming({ serverId: wanted.serverId, epoch: grant.epoch, fence }, ready.migrationId);
  await a.dropOutgoing({ serverId: wanted.serverId, epoch: grant.epoch, fence }, ready.migrationId, false, wanted);
  expect([await stateOn(a, wanted), await stateOn(b, wanted)]).toEqual([undefined, 'running']);
});

test('a cancelled move leaves the guest where it was, and the destination forfeits', async () => {
  const [a, b] = [await open(await optionsFor('a', 'QEMU', slow)), await open(await optionsFor('b', 'QEMU', slow))];
  const wanted = guest();
  await a.startGuest(startGrant(wanted, a), wanted);
  const grant = moveGrant(wanted, a, b);
  await a.startOutgoing(grant, await b.prepareIncoming(grant, wanted, policy, peer(a)), policy, peer(b));
  expect(await a.cancelOutgoing(grant)).toMatchObject({ state: 'cancelled', cause: 'CancelledByOperator' });
  expect((await b.forfeitIncoming(grant, false, null)).answer).toBe('has-not-and-forfeits');
  expect([await stateOn(a, wanted), await stateOn(b, wanted)]).toEqual(['running', undefined]);
});

test('a guest that writes faster than its link is given up under its policy, paused where that allows it, or forced to finish', async () => {
  const busy: SimulatedTimings = { ...fast, bandwidthBytesPerSecond: 4_000_000_000, dirtyBytesPerSecond: 8_000_000_000 };
  const [a, b] = [await open(await optionsFor('a', 'QEMU', busy)), await open(await optionsFor('b', 'QEMU', busy))];
  const wanted = guest();
  await a.startGuest(startGrant(wanted, a), wanted);
  const strict = { ...policy, convergence: { ...defaultPolicy, largestBlackoutMs: 60, deadlineMs: 2_000 } };
  const refused = moveGrant(wanted, a, b);
  await a.startOutgoing(refused, await b.prepareIncoming(refused, wanted, strict, peer(a)), strict, peer(b));
  await until(() => a.migrations()[0]?.state === 'failed');
  expect(a.migrations()[0]).toMatchObject({ cause: 'WillNotConverge', detail: expect.stringMatching(/60 ms are allowed/) });
  expect(await stateOn(a, wanted)).toBe('running');
  await b.forfeitIncoming(refused, false, null);

  // Paused for as long as it takes.
  const pausing = { ...strict, convergence: { ...strict.convergence, whenNotConverging: 'pause' as const } };
  const there = { ...moveGrant(wanted, a, b, 3), previousEpoch: asEpoch(1) };
  await a.startOutgoing(there, await b.prepareIncoming(there, wanted, pausing, peer(a)), pausing, peer(b));
  await until(() => b.migrations().some(({ migrationId, state }) => migrationId === there.migrationId && state === 'running'));
  expect(await stateOn(a, wanted)).toBe('released');
  const at = { serverId: wanted.serverId, epoch: there.epoch, fence };
  await a.dropOutgoing(at, as<MigrationId>(String(there.migrationId)), false, wanted);

  // Forced while it copies.
  const patient = { ...strict, convergence: { ...strict.convergence, deadlineMs: 3_600_000 } };
  const back = { ...moveGrant(wanted, b, a, 4), previousEpoch: there.epoch };
  const id = as<MigrationId>(String(back.migrationId));
  await b.startOutgoing(back, await a.prepareIncoming(back, wanted, patient, peer(b)), patient, peer(a));
  await b.setMigrationPolicy(at, id, { ...patient, forceComplete: true });
  await until(() => a.migrations().some(({ migrationId, state }) => migrationId === id && state === 'running'));
  expect(await stateOn(a, wanted)).toBe('running');
});

test('a guest is given vCPUs by who is in charge, and not while it is on its way elsewhere', async () => {
  const [a, b] = [await open(await optionsFor('a', 'QEMU', slow)), await open(await optionsFor('b', 'QEMU', fast))];
  const wanted = { ...guest(), maxVcpus: 4 };
  const { serverId } = wanted;
  await a.startGuest(startGrant(wanted, a), wanted);
  const under = (number: number) => ({ serverId, epoch: asEpoch(1), fence: asFence(number) });
  expect(await a.scaleGuest(under(3), { ...wanted, vcpus: 2 })).toMatchObject({ vcpus: 2 });
  await expect(a.scaleGuest(under(2), { ...wanted, vcpus: 3 })).rejects.toMatchObject({ refusal: { code: 'custody-fence-low' } });
  await expect(a.scaleGuest(under(3), { ...wanted, vcpus: 5 })).rejects.toMatchObject({ code: 'HotPlugUnsupported' });
  const grant = { ...moveGrant(wanted, a, b), fence: asFence(4) };
  await a.startOutgoing(grant, await b.prepareIncoming(grant, { ...wanted, vcpus: 2 }, policy, peer(a)), policy, peer(b));
  await expect(a.scaleGuest(under(4), { ...wanted, vcpus: 3 })).rejects.toMatchObject({ refusal: { code: 'custody-migrating' } });
  expect((await a.guests())[0]).toMatchObject({ vcpus: 2 });
});

test('a guest is suspended with the vCPUs that it is wanted with, and goes on with them', async () => {
  const a = await open(await optionsFor('a', 'QEMU', fast));
  const wanted = { ...guest(), vcpus: 2, maxVcpus: 4 };
  const { serverId } = wanted;
  await a.startGuest(startGrant(wanted, a), wanted);
  const authority = { serverId, epoch: asEpoch(1), fence };
  await expect(a.suspendGuest(authority, 1)).rejects.toMatchObject({ code: 'InvalidState' });
  for (const _again of [1, 2]) expect((await a.suspendGuest(authority, 3)).state).toBe('suspended');
  await expect(a.scaleGuest(authority, { ...wanted, vcpus: 3 })).rejects.toMatchObject({ refusal: { code: 'custody-not-stopped' } });
  const resumed = { ...startGrant(wanted, a, 2), memory: asEpoch(1) };
  expect(await a.startGuest(resumed, { ...wanted, vcpus: 3 })).toMatchObject({ state: 'running', vcpus: 3 });
});

test('custody is the real one: a lower fence and an old epoch are refused', async () => {
  const a = await open(await optionsFor('a', 'QEMU', fast));
  const wanted = guest();
  await a.startGuest({ ...startGrant(wanted, a, 5), fence: asFence(9) }, wanted);
  await expect(a.pauseGuest({ serverId: wanted.serverId, epoch: asEpoch(5), fence: asFence(8) })).rejects.toMatchObject({
    refusal: { code: 'custody-fence-low' },
  });
  await expect(a.pauseGuest({ serverId: wanted.serverId, epoch: asEpoch(4), fence: asFence(9) })).rejects.toMatchObject({
    refusal: { code: 'custody-epoch-unknown' },
  });
});

test('bare metal starts and stops, and refuses every move', async () => {
  const [metal, a] = [await open(await optionsFor('metal1', 'ironic', fast)), await open(await optionsFor('a', 'QEMU', fast))];
  const wanted = guest();
  expect((await metal.startGuest(startGrant(wanted, metal), wanted)).state).toBe('running');
  await expect(
    metal.startOutgoing(
      moveGrant(wanted, metal, a),
      {
        migrationId: as<MigrationId>('m'),
        ramAddress: 'x',
        ramPort: 1,
        nbdPort: 0,
        overlayDiskIds: [],
        nbdPlain: false,
        ramPlain: false,
        machineType: '',
        cpuModel: '',
        preparedMs: 0,
      },
      policy,
      peer(a),
    ),
  ).rejects.toMatchObject({ code: 'BareMetalCannotMigrate' });
  await expect(
    metal.prepareIncoming(moveGrant(wanted, a, metal), wanted, policy, { ...peer(a), hostId: as<HostId>(a.hostId) }),
  ).rejects.toMatchObject({ code: 'BareMetalCannotMigrate' });
  expect(await stateOn(metal, wanted)).toBe('running');
});
