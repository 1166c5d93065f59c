import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { claimPlace } from '@godwit/contract/testing/claim-place';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ClientProbe, startProbe } from '../client/probe.ts';
import { startWitness, type Witness } from '../client/witness.ts';
import { ipBatch } from '../network/ip-batch.ts';
import { createNetwork, destroyNetwork } from '../network/network.ts';
import { planTopology } from '../network/topology.ts';
import { waitFor } from '../wait-for.ts';
import { buildGuestImage, type GuestImage } from './build-image.ts';

const { place, free } = await claimPlace();
const topology = planTopology(`gwlabt${place}`, 1);
const namespace = `${topology.labId}-node1`;
const address = '10.88.0.11';
const mac = '52:54:00:00:00:11';
let dir: string;
let image: GuestImage;
let qemu: ChildProcess;
let probe: ClientProbe;
let witness: Witness;
let firstNonce: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gw-lab-guest-'));
  image = await buildGuestImage();
  await copyFile(image.diskPath, path.join(dir, 'disk.qcow2'));
  // A run that was killed has left its own.
  await destroyNetwork(topology.labId);
  await createNetwork(topology);
  await ipBatch(
    [
      'link add br0 type bridge',
      'link set br0 up',
      'link set up0 master br0',
      'tuntap add tap0 mode tap',
      'link set tap0 master br0',
      'link set tap0 up',
    ],
    namespace,
  );
  probe = await startProbe(topology.clientNamespace);
  witness = await startWitness(topology.fabricNamespace);
  await boot();
});

afterAll(async () => {
  await probe?.stop();
  await destroyNetwork(topology.labId);
  await free();
  await rm(dir, { recursive: true });
});

/** Boots the guest by plain QEMU and waits until it is ready. */
async function boot(): Promise<void> {
  await rm(path.join(dir, 'serial'), { force: true });
  const network = `ip=${address}:::255.255.255.0:guest-a:eth0:off godwit.heartbeat=10.88.0.2:9100 godwit.heartbeat_hz=100`;
  qemu = spawn(
    'ip',
    [
      'netns',
      'exec',
      namespace,
      'qemu-system-x86_64',
      '-M',
      'q35,accel=tcg',
      '-cpu',
      'max',
      '-m',
      '96',
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-no-reboot',
      '-serial',
      `file:${dir}/serial`,
      '-qmp',
      `unix:${dir}/qmp,server=on,wait=off`,
      '-kernel',
      image.kernelPath,
      '-initrd',
      image.initrdPath,
      '-append',
      `console=ttyS0 quiet panic=-1 ${network}`,
      '-netdev',
      'tap,id=n0,ifname=tap0,script=no,downscript=no',
      '-device',
      `virtio-net-pci,netdev=n0,mac=${mac}`,
      '-blockdev',
      `driver=qcow2,node-name=d0,file.driver=file,file.filename=${dir}/disk.qcow2`,
      '-device',
      'virtio-blk-pci,drive=d0',
    ],
    { stdio: 'inherit' },
  );
  await waitFor(
    'the guest did not boot',
    async () => (await readFile(path.join(dir, 'serial'), 'utf8').catch(() => '')).includes('ready nonce'),
    30_000,
  );
}

/** Presses the power button, again every two seconds: a guest that has just started does not hear it yet. Resolves when QEMU has ended. */
async function pressPowerButton(): Promise<void> {
  const ended = once(qemu, 'close');
  const monitor = connect(path.join(dir, 'qmp'));
  // Pressed while QEMU ends, it meets a closed socket.
  monitor.on('error', () => undefined);
  monitor.write('{"execute":"qmp_capabilities"}{"execute":"system_powerdown"}');
  const again = setInterval(() => monitor.write('{"execute":"system_powerdown"}'), 2_000);
  await ended;
  clearInterval(again);
  monitor.destroy();
}

test('the initrd stays under 1 MB', async () => {
  expect((await stat(image.initrdPath)).size).toBeLessThan(1_000_000);
});

test('the guest echoes, names itself, and says a line a second on its console', async () => {
  await probe.watch(address, 2, 5);
  await expect
    .poll(async () => (await probe.report()).find((one) => one.address === address)?.tcp.echoes, { timeout: 30_000 })
    .toBeGreaterThan(200);
  const report = (await probe.report()).find((one) => one.address === address);
  expect(report?.tcp).toMatchObject({ connections: 2, resets: 0, corrupt: 0 });
  await probe.unwatch(address);
  const status = await probe.status(address);
  firstNonce = status.nonce;
  expect(status.hostname).toBe('guest-a');
  await expect
    .poll(() => readFile(path.join(dir, 'serial'), 'utf8'), { timeout: 15_000 })
    .toMatch(/godwit guest-a tick 3 \d{4}-\d\d-\d\dT/);
});

test('its heartbeats reach the client and are seen at the port of its host', async () => {
  await probe.control(address, 'heartbeat 1000');
  await probe.reset();
  await expect
    .poll(async () => (await probe.report()).find((one) => one.address === address)?.heartbeat.received, { timeout: 30_000 })
    .toBeGreaterThan(1000);
  const heartbeat = (await probe.report()).find((one) => one.address === address)?.heartbeat;
  expect(heartbeat?.nonces).toEqual([firstNonce]);
  // The witness reads its capture behind the probe.
  const seen = () => witness.guests.find((one) => one.guest === mac);
  await expect.poll(() => seen()?.seen).toBeGreaterThan(1000);
  expect(seen()).toMatchObject({ port: 'up-node1', nonces: [firstNonce], portChanges: 0 });
  await probe.control(address, 'heartbeat 10');
});

test('the memory writer reaches the rate it is set to, loses no page, and refuses what does not fit', async () => {
  // A rate that any machine reaches, for half a second at least: how much more one can is the benchmark's.
  await probe.control(address, 'memory 20 24');
  const achieved = async () => (await probe.status(address)).memory.achievedMBs;
  await expect.poll(achieved, { timeout: 30_000, interval: 200 }).toSatisfy((rate: number) => rate > 15 && rate < 25);
  expect((await probe.status(address)).memory.pagesCorrupt).toBe(0);
  expect(await probe.control(address, 'memory 10 4000')).toMatchObject({ ok: false });
  expect((await probe.status(address)).memory).toMatchObject({ rateMBs: 20, setMib: 24 });
  await probe.control(address, 'memory 0 0');
});

test('numbered records are on the disk as soon as they are acknowledged, and go on after a reboot with another nonce', async () => {
  await probe.control(address, 'disk 200');
  await expect.poll(async () => (await probe.status(address)).disk.lastAcknowledged, { timeout: 30_000 }).toBeGreaterThan(100);
  expect(await probe.verifyDisk(address)).toMatchObject({ ok: true, torn: 0, missing: 0 });
  const { lastAcknowledged } = (await probe.status(address)).disk;
  // No shutdown of the guest's own: what was acknowledged must be there all the same.
  const ended = once(qemu, 'close');
  // `ip netns exec` has become QEMU: the pid is its.
  qemu.kill('SIGKILL');
  await ended;
  await boot();
  const verdict = await probe.verifyDisk(address);
  expect(verdict).toMatchObject({ ok: true, torn: 0, missing: 0 });
  expect(verdict.lastFound).toBeGreaterThanOrEqual(lastAcknowledged);
  expect((await probe.status(address)).nonce).not.toBe(firstNonce);
  await expect.poll(() => witness.guests.find((one) => one.guest === mac)?.nonces.length, { timeout: 15_000 }).toBe(2);
  expect(witness.violations).toEqual([]);
});

test('the power button shuts it down', async () => {
  await pressPowerButton();
  expect(await readFile(path.join(dir, 'serial'), 'utf8')).toContain('godwit guest-a powering off');
});
