import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createSecureServer } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { Agent, Peer } from '@godwit/contract/gen/agent_pb';
import { Cluster } from '@godwit/contract/gen/join_pb';
import { portOfOurOwn } from '@godwit/contract/testing/port-of-our-own';
import { as, type BootId } from '@godwit/domain/ids';
import { openRecentLog } from '@godwit/telemetry/recent-log';
import { scopeOfLine } from '@godwit/telemetry/request-scope';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSimulatedHost, simulatedFacts } from './drivers/simulated/open-simulated-host.ts';
import { type HostAgent, type HostSetup, startHostAgent } from './host-agent.ts';
import { createTestCa, type TestCa } from './identity/test-ca.ts';
import { HandoverCall, type Step } from './migration/handover-call.ts';
import { readLogsOf, recentLogFile } from './read-logs.ts';
import { createTlsTransport, type TlsTransport } from './rpc/tls-transport.ts';

const hostId = '11111111-1111-4111-8111-111111111111';
const peerId = '22222222-2222-4222-8222-222222222222';
const host = { name: 'sim1', hypervisorType: 'QEMU', cores: 4, ramMib: 8192, diskGib: 100 } as const;
const secret = 'secret-secret-secret';

let directory: string;
let ca: TestCa;
let tokens: string[];
/** What hosts have presented, in order. */
let requests: string[];
/** How many of the next answers are lost on their way. */
let losses: number;
let refusal: ConnectError | null;
const open: { close(): unknown }[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gw-agent-'));
  ca = await createTestCa();
  tokens = [];
  requests = [];
  losses = 0;
  refusal = null;
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  await rm(directory, { recursive: true, force: true });
});

/** A controller's agent listener as far as Join goes. */
async function listenForJoins(): Promise<string> {
  const own = await ca.controller(['127.0.0.1']);
  const server = createSecureServer(
    { key: own.privateKeyPem, cert: own.certificatePem + ca.caPem, allowHTTP1: false },
    connectNodeAdapter({
      routes: (router) => {
        router.service(Cluster, {
          join: async (request) => {
            tokens.push(request.token);
            requests.push(request.certificateRequestPem);
            if (!request.token.startsWith(secret))
              throw new ConnectError('the join token is unknown, expired or used', Code.Unauthenticated);
            if (refusal !== null) throw refusal;
            if ((losses -= 1) >= 0) throw new ConnectError('the line was cut', Code.Unavailable);
            return { hostId, certificatePem: await ca.sign(request.certificateRequestPem, hostId, [request.address]), caPem: ca.caPem };
          },
        });
      },
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(server);
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

async function start(
  controllerUrl: string,
  token: string,
  signal = new AbortController().signal,
  warn: (fields: Record<string, unknown>) => void = () => undefined,
  log: HostSetup['log'] = { ...quiet, warn },
  rpcPort?: number,
): Promise<HostAgent> {
  const setup: HostSetup = {
    hostName: host.name,
    stateDir: directory,
    address: '127.0.0.1',
    rpcPort: rpcPort ?? (await portOfOurOwn()),
    controllerUrl,
    bootId: 'boot-1',
    zone: '',
    readLogs: readLogsOf(directory),
    log,
    joinToken: () => Promise.resolve(token),
    facts: () => Promise.resolve(simulatedFacts(host)),
    openDriver: (identity) => openSimulatedHost({ host, stateDir: directory, identity, bootId: as<BootId>('boot-1'), controllerUrl }),
  };
  const agent = await startHostAgent(setup, signal);
  open.push(agent);
  return agent;
}

async function link(agent: HostAgent, role: 'controller' | 'peer', expected: string = hostId): Promise<TlsTransport> {
  const credentials = role === 'controller' ? await ca.controller(['127.0.0.1']) : await ca.host(peerId, ['127.0.0.1']);
  const transport = createTlsTransport(`https://127.0.0.1:${agent.rpcPort}`, credentials, { role: 'host', hostId: expected });
  open.push(transport);
  return transport;
}

const codeOf = (promise: Promise<unknown>): Promise<Code | undefined> =>
  promise.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );

test('a host joins once, serves its controller, and needs no token after that', async () => {
  const controller = await listenForJoins();
  const agent = await start(controller, `${secret}.${ca.fingerprint}`);
  const answer = await createClient(Agent, (await link(agent, 'controller')).transport).getHost({});
  expect(answer).toMatchObject({ hostId, hostName: 'sim1', bootId: 'boot-1' });
  expect(JSON.parse(answer.factsJson)).toMatchObject({ cores: 4, ramMib: 8192 });
  await agent.close();
  await start('https://127.0.0.1:1', 'not a token');
  expect(tokens).toHaveLength(1);
});

test('a join whose answer is lost is asked again with the same request, after a restart too; then the request is gone', async () => {
  losses = 1;
  const controller = await listenForJoins();
  const stop = new AbortController();
  const lost = Promise.withResolvers<void>();
  const starting = start(controller, `${secret}.${ca.fingerprint}`, stop.signal, () => lost.resolve());
  await lost.promise;
  stop.abort();
  await expect(starting).rejects.toThrow();
  await start(controller, `${secret}.${ca.fingerprint}`);
  expect(requests).toHaveLength(2);
  expect(requests[1]).toBe(requests[0]);
  expect(await readdir(directory)).not.toContain('join-request.json');
});

test('the token is not shown to a controller of another CA', async () => {
  const stranger = await createTestCa();
  const controller = await listenForJoins();
  await expect(start(controller, `${secret}.${stranger.fingerprint}`)).rejects.toThrow(
    /does not show the CA certificate .*: correct controllerUrl, or take a token of that cloud: `godwit host add sim1` prints/,
  );
  expect(tokens).toEqual([]);
});

test('a join that is refused ends in one sentence with what to do, once, and leaves no identity', async () => {
  const controller = await listenForJoins();
  const used = `used-used-used-used-1.${ca.fingerprint}`;
  await expect(start(controller, used)).rejects.toThrow(
    'the join token is unknown, expired or used: `godwit host add sim1` prints a token for the file of joinTokenFile',
  );
  refusal = new ConnectError('a host named sim1 is part of the cloud', Code.FailedPrecondition, { 'godwit-code': 'Conflict' });
  await expect(start(controller, `${secret}.${ca.fingerprint}`)).rejects.toThrow(
    'a host named sim1 is part of the cloud: choose another hostName, or where it is that host: `godwit host add sim1` prints',
  );
  await expect(start(controller, 'no token')).rejects.toThrow(
    'the join token is not `<secret>.<sha256 of the CA certificate>`: put what `godwit host add sim1` prints into',
  );
  expect(tokens).toHaveLength(2);
  expect((await readdir(directory)).filter((file) => file !== 'join-request.json')).toEqual([]);
  // What is no refusal of this host is waited for.
  refusal = new ConnectError('the database is away', Code.FailedPrecondition, { 'godwit-code': 'ServiceUnavailable' });
  const waits = Promise.withResolvers<void>();
  const stop = new AbortController();
  const starting = start(controller, `${secret}.${ca.fingerprint}`, stop.signal, () => waits.resolve());
  await waits.promise;
  stop.abort();
  await expect(starting).rejects.toThrow();
});

test('each service is only for its caller, and each caller only for the host it means', async () => {
  const agent = await start(await listenForJoins(), `${secret}.${ca.fingerprint}`);
  const [controller, peer] = [await link(agent, 'controller'), await link(agent, 'peer')];
  expect(await codeOf(createClient(Agent, peer.transport).listGuests({}))).toBe(Code.PermissionDenied);
  expect(await codeOf(createClient(Peer, controller.transport).clock({}))).toBe(Code.PermissionDenied);
  expect(await codeOf(createClient(Peer, peer.transport).clock({}))).toBeUndefined();
  const foreign = createClient(Peer, peer.transport).release({
    release: { serverId: hostId, migrationId: hostId, sourceHostId: hostId, destinationHostId: hostId, epoch: 2n },
  });
  expect(await codeOf(foreign)).toBe(Code.PermissionDenied);
  // The standing call says who calls once, when it begins, and is held to it with each step.
  const release = { serverId: hostId, migrationId: hostId, sourceHostId: hostId, destinationHostId: hostId, epoch: 2n };
  const standing = (transport: TlsTransport) => new HandoverCall(createClient(Peer, transport.transport).handover);
  const clock: Step = { step: { case: 'clock', value: { sentAtMs: 1 } } };
  const handover = standing(peer);
  expect((await handover.ask(clock, 2_000)).answer.case).toBe('clock');
  expect(await codeOf(handover.ask({ step: { case: 'release', value: { release } } }, 2_000))).toBe(Code.PermissionDenied);
  expect(await codeOf(standing(controller).ask(clock, 2_000))).toBe(Code.PermissionDenied);
  await expect((await link(agent, 'controller', peerId)).warm()).rejects.toThrow(/speaks for host/);
});

test("a client without a certificate, or with a stranger's, gets no further than the handshake", async () => {
  const agent = await start(await listenForJoins(), `${secret}.${ca.fingerprint}`);
  const stranger = await createTestCa();
  for (const credentials of [{ caPem: ca.caPem }, { ...(await stranger.controller(['127.0.0.1'])), caPem: ca.caPem }]) {
    const transport = createTlsTransport(`https://127.0.0.1:${agent.rpcPort}`, credentials, { role: 'host', hostId });
    open.push(transport);
    expect(await codeOf(createClient(Agent, transport.transport).getHost({}, { timeoutMs: 2_000 }))).toBeDefined();
  }
});

test('bad ids are refused with a code before the driver sees them', async () => {
  const agent = await start(await listenForJoins(), `${secret}.${ca.fingerprint}`);
  const client = createClient(Agent, (await link(agent, 'controller')).transport);
  const error = await client
    .pauseGuest({ custody: { serverId: '../../etc', epoch: 1n, fence: 1n } })
    .catch((caught: unknown) => ConnectError.from(caught));
  expect(error).toMatchObject({ code: Code.InvalidArgument });
  expect((error as ConnectError).metadata.get('godwit-code')).toBe('BadRequest');
});

test('orders are logged under the request that they are made for, and can be read back without secrets', async () => {
  const recent = openRecentLog(recentLogFile(directory));
  const log = pino({ level: 'info', mixin: scopeOfLine }, recent.stream);
  const agent = await start(await listenForJoins(), `${secret}.${ca.fingerprint}`, undefined, undefined, log);
  const client = createClient(Agent, (await link(agent, 'controller')).transport);
  const custody = { serverId: peerId, epoch: 1n, fence: 1n };
  await client.pauseGuest({ custody }, { headers: { 'godwit-request-id': 'req-1' } }).catch(() => {});
  await client.stopGuest({ custody, timeoutMs: 1n }, { headers: { 'godwit-request-id': 'req-2' } }).catch(() => {});
  log.info({ serverId: peerId, password: 'hunter22', requestId: 'req-1' }, 'with postgres://me:hunter33@db/x');
  const { logs } = await client.readLogs({ words: ['req-1'], serverId: peerId });
  expect(logs.map(({ name }) => name)).toEqual(['agent']);
  const lines = logs[0]?.lines.map((line) => JSON.parse(line) as Record<string, unknown>) ?? [];
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatchObject({ requestId: 'req-1', rpc: 'PauseGuest', serverId: peerId, msg: 'refused' });
  expect(JSON.stringify(lines)).not.toMatch(/hunter/);
  recent.close();
});

test('a port that is in use is one sentence with what to do, and nothing is left running', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  try {
    const starting = start(await listenForJoins(), `${secret}.${ca.fingerprint}`, undefined, undefined, undefined, port);
    await expect(starting).rejects.toThrow(
      `127.0.0.1:${port} is in use: stop what listens there (ss -tlnp names it), or choose another rpcPort`,
    );
  } finally {
    await new Promise((resolve) => taken.close(resolve));
  }
});

test('a watcher hears heartbeats, and a full report first', async () => {
  const agent = await start(await listenForJoins(), `${secret}.${ca.fingerprint}`);
  const client = createClient(Agent, (await link(agent, 'controller')).transport);
  const stop = new AbortController();
  const heard: string[] = [];
  for await (const event of client.watch({ afterSequence: 0n }, { signal: stop.signal })) {
    heard.push(event.event.case ?? '');
    if (heard.length === 2) break;
  }
  stop.abort();
  expect(heard).toEqual(['heartbeat', 'heartbeat']);
});
