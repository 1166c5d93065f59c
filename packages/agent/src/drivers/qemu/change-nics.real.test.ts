import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { EndState } from '@godwit/contract/gen/custody_pb';
import { GuestState, type NicSchema } from '@godwit/contract/gen/guest_pb';
import { GuestNetwork } from '@godwit/contract/gen/network_pb';
import type { NetworkPolicy, PortPolicy } from '@godwit/domain/network-policy';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { demoImages } from '../../testing/demo-images.ts';
import { controlGuest, isSilent, untilGuestAnswers } from '../../testing/guest-control.ts';
import {
  custodyOf,
  moveGuest,
  newMove,
  prepare,
  qemuPid,
  start,
  startTestGuest,
  type TestGuest,
  testGuest,
} from '../../testing/test-guest.ts';
import { ended, holdAt, startTwoHosts, type TwoHosts } from '../../testing/two-hosts.ts';

type Nic = MessageInitShape<typeof NicSchema>;

let two: TwoHosts;
let guest: TestGuest;
/** The guest at its second address. */
let second: TestGuest;
let firstNic: Nic;
const secondNic: Nic = {
  portId: randomUUID(),
  networkId: randomUUID(),
  mac: '52:54:00:90:00:14',
  slot: 5,
  fixedIps: [{ address: '10.90.0.20', prefixLength: 24, gateway: '' }],
};
const secondTap = `gt${String(secondNic.portId).slice(0, 8)}`;
let policies = 0;
/** The port that is administratively down. */
let downPort: string | undefined;

/** Addresses by DHCP alone; TCP is let in at both ports, and nothing else. */
function wantNics(...nics: readonly Nic[]): TestGuest['wire'] {
  policies += 1;
  guest.wire.nics = [...nics];
  const ports = nics.map((nic): PortPolicy => {
    const [portId = '', mac = '', address = ''] = [nic.portId, nic.mac, nic.fixedIps?.[0]?.address];
    return {
      portId,
      ...(portId === downPort ? { down: true as const } : {}),
      sources: [{ mac, address }],
      rules: [{ direction: 'ingress', ipVersion: 4, protocol: 6, first: null, last: null, remote: { kind: 'any' } }],
      lease: { address, prefixLength: 24, gateway: null, nameservers: [], mtu: 1500, hostname: 'plugged' },
    };
  });
  guest.wire.networkPolicyJson = JSON.stringify({ number: policies, ports, groups: {} } satisfies NetworkPolicy);
  return guest.wire;
}

const changeTo = (...nics: readonly Nic[]): Promise<unknown> =>
  guest.at.client.changeNics({ custody: custodyOf(guest), guest: wantNics(...nics) });
async function setDown(portId: string | undefined): Promise<void> {
  downPort = portId;
  wantNics(...(guest.wire.nics ?? []));
  const policyJson = guest.wire.networkPolicyJson ?? '';
  await createClient(GuestNetwork, guest.at.link.transport).setPolicy({ policyJson });
}
const nonceAt = async (where: TestGuest): Promise<string> => (await controlGuest(two, where, 'status')).nonce;
const links = (): Promise<string> => two.in(guest.at.namespace, 'ip', '-o', 'link');
const pings = (address: string): Promise<boolean> =>
  two.in(two.clientNamespace, 'busybox', 'ping', '-c', '1', '-W', '1', address).then(
    () => true,
    () => false,
  );

beforeAll(async () => {
  two = await startTwoHosts({ images: await demoImages() });
  await two.in(two.clientNamespace, 'ip', 'addr', 'add', '10.90.0.2/24', 'dev', 'eth0');
  guest = testGuest(two.hosts[0], { number: 1, commandLine: 'ip=dhcp' });
  guest.wire.deviceLayout = 2;
  firstNic = { ...guest.wire.nics?.[0], slot: 0 };
  second = { ...guest, address: '10.90.0.20' };
  wantNics(firstNic);
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

test('a card plugged into a running guest gets its address, is held to its rules, and is where it was after a move', async () => {
  const nonce = await nonceAt(guest);
  await changeTo(firstNic, secondNic);
  await untilGuestAnswers(two, second);
  expect(await pings(second.address)).toBe(false);
  // Again: nothing is left to do.
  await changeTo(firstNic, secondNic);
  // Down here, and still where the guest goes to.
  await setDown(secondNic.portId);
  expect(await isSilent(two, second)).toBe(true);
  await moveGuest(guest, two.hosts[1]);
  expect(await nonceAt(guest)).toBe(nonce);
  expect(await isSilent(two, second)).toBe(true);
  await setDown(undefined);
  await untilGuestAnswers(two, second);
  expect(await nonceAt(second)).toBe(nonce);
  expect(await pings(second.address)).toBe(false);
});

test('a machine that waits with other cards gets no guest: it runs on where it is', async () => {
  const move = newMove(guest, two.hosts[0]);
  wantNics(firstNic);
  const ready = await prepare(guest, move);
  wantNics(firstNic, secondNic);
  await expect(start(move, ready)).rejects.toThrow(/network cards are not those of its ports/);
  await move.to.client.forfeitIncoming({ grant: move.grant });
  await controlGuest(two, second, 'status');
});

test('taken out and put in again where the guest was moved to, also by an agent that died between', async () => {
  const nonce = await nonceAt(guest);
  await guest.at.client.pauseGuest({ custody: custodyOf(guest) });
  await expect(changeTo(firstNic)).rejects.toThrow(/paused/);
  await guest.at.client.unpauseGuest({ custody: custodyOf(guest) });
  await two.restart(guest.at, 'nics.unplugged=kill');
  await expect(changeTo(firstNic)).rejects.toThrow();
  await two.mend();
  // Its tap is still there: the adopting agent knows of it.
  expect(await links()).toContain(secondTap);
  await changeTo(firstNic);
  expect(await links()).not.toContain(secondTap);
  expect(await two.in(guest.at.namespace, 'nft', 'list', 'table', 'bridge', 'godwit')).not.toContain(secondTap);
  expect(await isSilent(two, second)).toBe(true);

  await two.restart(guest.at, 'nics.noted=kill');
  await expect(changeTo(firstNic, secondNic)).rejects.toThrow();
  await two.mend();
  expect(await two.in(guest.at.namespace, 'nft', 'list', 'table', 'bridge', 'godwit')).toContain(secondTap);
  await changeTo(firstNic, secondNic);
  // Asked of the agent here, and answered as there.
  await untilGuestAnswers(two, second);
  expect(await nonceAt(second)).toBe(nonce);
});

test('a hard reboot keeps it, and every address is asked for anew at this host', async () => {
  const before = await nonceAt(guest);
  await guest.at.client.rebootGuest({ custody: custodyOf(guest), hard: true });
  await untilGuestAnswers(two, guest);
  await untilGuestAnswers(two, second);
  expect(await nonceAt(second)).not.toBe(before);
});

test('refused, nothing changed: a machine without places for it, another epoch, a place that is taken', async () => {
  const old = testGuest(two.hosts[0], { number: 2, diskless: true });
  await startTestGuest(old);
  old.wire.nics = [...(old.wire.nics ?? []), { ...secondNic, portId: randomUUID(), mac: '52:54:00:90:00:15' }];
  await expect(old.at.client.changeNics({ custody: custodyOf(old), guest: old.wire })).rejects.toThrow(/takes no port while it runs/);
  await expect(guest.at.client.changeNics({ custody: custodyOf(guest, guest.held + 1), guest: wantNics(firstNic) })).rejects.toThrow();
  await expect(changeTo(firstNic, { ...secondNic, slot: 0 })).rejects.toThrow(/same place/);
  expect((await links()).match(/gt[0-9a-f]{8}/g)?.length).toBe(2);
  await controlGuest(two, second, 'status');
});

test('a running guest is given vCPUs, by an agent that dies or fails half way too; it has them where it is moved to, and after it was suspended', async () => {
  const grows = testGuest(two.hosts[0], { number: 3 });
  Object.assign(grows.wire, { deviceLayout: 2, maxVcpus: 4 });
  await startTestGuest(grows);
  await untilGuestAnswers(two, grows);
  const scaleTo = (vcpus: number) => grows.at.client.scaleGuest({ custody: custodyOf(grows), guest: Object.assign(grows.wire, { vcpus }) });
  const reported = async () => (await grows.at.client.listGuests({})).guests.find(({ serverId }) => serverId === grows.serverId)?.vcpus;
  const { nonce, vcpus: begun } = await controlGuest(two, grows, 'status');
  expect(begun).toBe(1);
  const sees = (vcpus: number) =>
    vi.waitFor(async () => expect(await controlGuest(two, grows, 'status')).toMatchObject({ vcpus, nonce }), { timeout: 20_000 });
  // Waiting before the guest grew: QEMU itself would load it into fewer vCPUs not at all, and into more without a word.
  const move = newMove(grows, two.hosts[1]);
  const ready = await prepare(grows, move);
  const hold = await holdAt(grows.at, 'scale.plugged');
  const scaled = scaleTo(2).then(
    () => 'answered',
    () => 'failed',
  );
  await hold.held();
  await ended(grows.at.process);
  await hold.letGo();
  expect(await scaled).toBe('failed');
  await two.restart(grows.at, 'scale.plugged=throw');
  // It read back what its QEMU has, which the one before had not written down.
  await vi.waitFor(async () => expect(await reported()).toBe(2), { timeout: 20_000 });
  await sees(2);
  await expect(start(move, ready)).rejects.toThrow(/has 2 of 4 vCPUs, and the machine that waits for it at the destination 1 of 4/);
  await move.to.client.forfeitIncoming({ grant: move.grant });
  expect(await scaleTo(2)).toMatchObject({ vcpus: 2 });
  await expect(scaleTo(3)).rejects.toThrow(/scale\.plugged/);
  expect(await reported()).toBe(3);
  expect(await scaleTo(3)).toMatchObject({ vcpus: 3 });
  await expect(scaleTo(1)).rejects.toThrow(/none is taken from a guest that runs/);
  await expect(scaleTo(5)).rejects.toThrow(/places for 4 vCPUs/);
  grows.wire.vcpus = 3;
  await moveGuest(grows, two.hosts[1]);
  // The vCPU that its row has and it has not comes before its memory is saved; one that it has too many is not taken.
  await expect(grows.at.client.suspendGuest({ custody: custodyOf(grows), vcpus: 2 })).rejects.toThrow(/none is taken/);
  for (const _again of [1, 2])
    expect(await grows.at.client.suspendGuest({ custody: custodyOf(grows), vcpus: 4 })).toMatchObject({ state: GuestState.SUSPENDED });
  grows.wire.vcpus = 4;
  await startTestGuest(grows, EndState.RUNNING, grows.held);
  await sees(4);
  // Who was overtaken is not obeyed any more.
  await grows.at.client.scaleGuest({ custody: { ...custodyOf(grows), fence: 2n }, guest: grows.wire });
  await expect(scaleTo(4)).rejects.toMatchObject({
    metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === 'custody-fence-low'),
  });
});

test('a running guest is given memory, also by an agent that dies half way; it has it where it is moved to and after it was suspended, and gives back what it does not use', {
  timeout: 240_000,
}, async () => {
  const grows = testGuest(two.hosts[0], { number: 4, commandLine: 'swiotlb=noforce' });
  Object.assign(grows.wire, { deviceLayout: 2, maxRamMib: 224n });
  await startTestGuest(grows);
  await untilGuestAnswers(two, grows);
  const scaleTo = (ramMib: number) => grows.at.client.scaleMemory({ custody: custodyOf(grows), ramMib: BigInt(ramMib) });
  const reported = async () =>
    Number((await grows.at.client.listGuests({})).guests.find(({ serverId }) => serverId === grows.serverId)?.ramMib);
  const { nonce, memory: begun } = await controlGuest(two, grows, 'status');
  const seesMore = (mib: number) =>
    vi.waitFor(
      async () => {
        const { nonce: same, memory } = await controlGuest(two, grows, 'status');
        expect([same, memory.totalMib - begun.totalMib, memory.pagesCorrupt]).toEqual([nonce, mib, 0]);
      },
      { timeout: 20_000 },
    );
  await two.restart(grows.at, 'memory.asked=kill');
  await expect(scaleTo(160)).rejects.toThrow();
  await two.mend();
  // It read back what its guest was asked to have, which the guest takes without it.
  await vi.waitFor(async () => expect(await reported()).toBe(160), { timeout: 20_000 });
  expect(Number((await scaleTo(160)).ramMib)).toBe(160);
  await seesMore(64);
  for (const [mib, words] of [
    [94, /96 to 224 MiB of memory, not 94/],
    [226, /not 226/],
    [101, /100 for one, and not 101/],
  ] as const)
    await expect(scaleTo(mib)).rejects.toThrow(words);
  await controlGuest(two, grows, 'memory 100 85');
  // Predictions look at all of it.
  await vi.waitFor(
    async () => {
      const { usedBytes } = await grows.at.client.measureDirty({ serverId: grows.serverId, maxWaitMs: 200n });
      expect(Number(usedBytes)).toBeGreaterThan(97 * 2 ** 20);
    },
    { timeout: 20_000 },
  );
  grows.wire.addedRamMib = 64n;
  await moveGuest(grows, two.hosts[1], { downtimeLimitMs: 500 });
  await seesMore(64);
  // A guest that gives nothing back keeps all, and is asked for it no longer.
  await controlGuest(two, grows, 'keep-memory 1');
  await expect(scaleTo(96)).rejects.toThrow(/gave back 0 of 64 MiB, uses the rest, and was left all: it has 160 MiB/);
  expect(await reported()).toBe(160);
  await controlGuest(two, grows, 'keep-memory 0');
  expect(await grows.at.client.suspendGuest({ custody: custodyOf(grows) })).toMatchObject({ state: GuestState.SUSPENDED });
  await startTestGuest(grows, EndState.RUNNING, grows.held);
  await seesMore(64);
  await controlGuest(two, grows, 'memory 0 0');
  // What it gives back its host has again.
  const residentMib = async () =>
    Number(/^Rss:\s+(\d+) kB/m.exec(await readFile(`/proc/${await qemuPid(grows.at, grows)}/smaps_rollup`, 'utf8'))?.[1]) / 1024;
  const before = await residentMib();
  expect(Number((await scaleTo(96)).ramMib)).toBe(96);
  expect(before - (await residentMib())).toBeGreaterThan(16);
  await seesMore(0);
});
