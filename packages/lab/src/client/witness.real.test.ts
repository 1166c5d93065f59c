import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { claimPlace } from '@godwit/contract/testing/claim-place';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { ipBatch } from '../network/ip-batch.ts';
import { createNetwork, destroyNetwork } from '../network/network.ts';
import { planTopology } from '../network/topology.ts';
import { startWitness, type Witness } from './witness.ts';

const run = promisify(execFile);
const { place, free } = await claimPlace();
const topology = planTopology(`gwlabt${place}`, 2);
const mac = '52:54:00:00:00:21';
let witness: Witness;

/** Both hosts' cables carry the same sender address and speak as the same guest: what two copies look like from outside. */
beforeEach(async () => {
  spoken = 0;
  // A run that was killed has left its own.
  await destroyNetwork(topology.labId);
  await createNetwork(topology);
  for (const node of topology.nodes) await ipBatch([`link set up0 address ${mac}`, 'address add 10.88.0.21/24 dev up0'], node.namespace);
  witness = await startWitness(topology.fabricNamespace);
});
afterEach(() => destroyNetwork(topology.labId));
afterAll(free);

let spoken = 0;

/** Sends and waits until it was seen: a first datagram waits for an address resolution, and another host's could overtake it. */
async function speak(host: number, counters: readonly number[], nonce = '00000000000000aa'): Promise<void> {
  const lines = counters.map((counter) => `printf 'godwit1 ${nonce} ${counter} 1\\n' > /dev/udp/10.88.0.2/9100`).join('; ');
  await run('ip', ['netns', 'exec', `${topology.labId}-node${host}`, 'bash', '-c', lines]);
  spoken += counters.length;
  await expect
    .poll(() => (witness.guests[0]?.seen ?? 0) + witness.violations.filter((one) => one.kind === 'old-copy-spoke').length, {
      timeout: 15_000,
    })
    .toBe(spoken);
}

test('a guest that moves from port to port and counts on is one guest', async () => {
  await speak(1, [1, 2, 3]);
  await speak(2, [4, 5]);
  expect(witness.violations).toEqual([]);
  expect(witness.guests[0]).toMatchObject({ guest: mac, port: 'up-node2', portChanges: 1, lastCounter: 5, missing: 0 });
  await witness.stop();
});

test('two copies are seen, with the ports they speak from', async () => {
  await speak(1, [1, 2]);
  await speak(2, [3]);
  await speak(1, [3]);
  expect(witness.violations).toEqual([
    expect.objectContaining({
      kind: 'counter-went-back',
      sighting: expect.objectContaining({ port: 'up-node1', counter: 3 }),
      last: expect.objectContaining({ port: 'up-node2' }),
    }),
  ]);
  await witness.stop();
});

test('an old boot that speaks after a new one is seen', async () => {
  await speak(1, [900]);
  await speak(2, [1], '00000000000000bb');
  await speak(1, [901]);
  await expect.poll(() => witness.violations.map((violation) => violation.kind), { timeout: 15_000 }).toEqual(['old-copy-spoke']);
  await witness.stop();
});

test('a witness whose capture died says so instead of having seen nothing', async () => {
  await destroyNetwork(topology.labId);
  await expect.poll(() => witness.isWatching, { timeout: 15_000 }).toBe(false);
  await expect(witness.stop()).rejects.toMatchObject({ code: 'NOT_READY' });
});
