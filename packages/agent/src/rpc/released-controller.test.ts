import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { Agent } from '@godwit/contract/gen/agent_pb';
import { EndState } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import { releasedService } from '@godwit/contract/testing/released-protocol';
import { as, type BootId } from '@godwit/domain/ids';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HostDriver } from '../drivers/host-driver.ts';
import { openSimulatedHost } from '../drivers/simulated/open-simulated-host.ts';
import { createTestCa } from '../identity/test-ca.ts';
import { readLogsOf } from '../read-logs.ts';
import { agentService } from './agent-service.ts';

const timings = { qemuStartMs: 1, diskCreateMs: 0, bandwidthBytesPerSecond: 0, dirtyBytesPerSecond: 0, blackoutMs: 1, failureRate: 0 };
const ca = await createTestCa();
let directory: string;
let drivers: HostDriver[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gw-released-'));
  drivers = [];
});
afterEach(async () => {
  for (const driver of drivers) await driver.close();
  await rm(directory, { recursive: true, force: true });
});

type Released = Readonly<Record<string, (request: object) => Promise<Record<string, unknown>>>>;

/** This agent on a simulated host, as a controller of the released version talks to it: it knows neither later calls nor later fields. */
async function host(name: string): Promise<{ readonly driver: HostDriver; readonly calls: Released }> {
  const stateDir = join(directory, name);
  const driver = await openSimulatedHost({
    host: { name, hypervisorType: 'QEMU', cores: 8, ramMib: 65_536, diskGib: 100 },
    stateDir,
    identity: { current: await ca.host(randomUUID(), ['127.0.0.1']) },
    bootId: as<BootId>('boot-1'),
    controllerUrl: 'https://127.0.0.1:1',
    timings,
  });
  drivers.push(driver);
  const transport = createRouterTransport((router) => router.service(Agent, agentService(driver, name, readLogsOf(stateDir))));
  const service = releasedService(Agent.typeName) as DescService;
  return { driver, calls: createClient(service, transport) as unknown as Released };
}

test('a released controller is served: a guest starts, moves, stops and goes by what it knows', async () => {
  const [from, to] = [await host('s1'), await host('s2')];
  const serverId = randomUUID();
  const guest = { serverId, projectId: 'p', name: 'g', hostname: 'g', vcpus: 1, ramMib: 512 };
  const grant = (at: HostDriver, epoch: bigint, more: object = {}) => ({
    serverId,
    destinationHostId: at.hostId,
    destinationBootId: at.bootId,
    epoch,
    previousEpoch: epoch - 1n,
    fence: 1n,
    endState: EndState.RUNNING,
    ...more,
  });
  const call = async (of: Released, name: string, request: object): Promise<Record<string, unknown>> => {
    const method = of[name];
    if (method === undefined) throw new Error(`the released controller knows no ${name}`);
    return method(request);
  };
  expect(await call(from.calls, 'startGuest', { grant: grant(from.driver, 1n), guest })).toMatchObject({
    state: GuestState.RUNNING,
    epoch: 1n,
  });
  expect(JSON.parse(String((await call(from.calls, 'getHost', {}))['factsJson']))).toMatchObject({ cores: 8 });

  const migrationId = randomUUID();
  const move = grant(to.driver, 2n, { migrationId, sourceHostId: from.driver.hostId });
  const policy = { downtimeLimitMs: 30n, networkSwitch: true };
  const at = ({ hostId }: HostDriver) => ({ hostId, address: '127.0.0.1', rpcPort: 1 });
  const ready = await call(to.calls, 'prepareIncoming', { grant: move, guest, policy, source: at(from.driver) });
  await call(from.calls, 'startOutgoing', { grant: move, ready, policy, destination: at(to.driver) });
  const order = { custody: { serverId, epoch: 2n, fence: 1n }, migrationId };
  const state = async () => (await call(to.calls, 'getMigration', { migrationId }))['state'];
  for (const limit = performance.now() + 15_000; (await state()) !== 'running'; ) {
    if (performance.now() > limit) throw new Error('it was not taken within 15 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await call(to.calls, 'finishIncoming', order);
  await call(from.calls, 'dropOutgoing', order);
  expect((await call(from.calls, 'listGuests', {}))['guests']).toEqual([]);
  expect((await call(to.calls, 'listGuests', {}))['guests']).toMatchObject([{ serverId, state: GuestState.RUNNING, epoch: 2n }]);
  expect(await call(to.calls, 'destroyGuest', { custody: { serverId, epoch: 3n, fence: 1n }, deleteDisks: true, guest })).toMatchObject({
    existed: true,
  });
});
