import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createReadStream, openSync } from 'node:fs';
import { mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createSecureServer } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Client, createClient } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { Agent } from '@godwit/contract/gen/agent_pb';
import { Cluster, type ReportReleaseRequest } from '@godwit/contract/gen/join_pb';
import { claimPlace } from '@godwit/contract/testing/claim-place';
import { endOf, lastWords } from '@godwit/contract/testing/last-words';
import type { FaultPoint } from '../fault-point.ts';
import { createTestCa, type TestCa } from '../identity/test-ca.ts';
import { createTlsTransport, type TlsTransport } from '../rpc/tls-transport.ts';

const run = promisify(execFile);

export type TestHost = {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly hostId: string;
  readonly stateDir: string;
  /** Another one after each power loss. */
  bootId: string;
  client: Client<typeof Agent>;
  /** The agent's process; replaced by `restart`. */
  process: ChildProcess;
  /** What it was started with as GODWIT_FAULT_POINTS. */
  faults: string;
  /** Whether it has answered since then. */
  served: boolean;
  link: TlsTransport;
};

export type TwoHosts = {
  readonly hosts: readonly [TestHost, TestHost];
  readonly clientNamespace: string;
  readonly fabricNamespace: string;
  readonly dir: string;
  readonly poolPath: string;
  readonly releases: ReportReleaseRequest[];
  /** Starts an agent again on its host, e.g. after its kill -9; `faults` becomes GODWIT_FAULT_POINTS. */
  restart(host: TestHost, faults?: string): Promise<void>;
  /** The host loses its power: every process of it is gone, and what its journal had not synced; its boot id is another one when it is started again. */
  powerLoss(host: TestHost): Promise<void>;
  /** After a test: every agent that is dead, has never answered, or has a fault point is started again without. */
  mend(): Promise<void>;
  in(namespace: string, ...command: readonly string[]): Promise<string>;
  close(): Promise<void>;
};

export type TwoHostsOptions = {
  readonly images: Readonly<Record<string, string>>;
  readonly clockSkewMs?: readonly [number, number];
  readonly imageLocking?: boolean;
  /** More of the agents' configuration. */
  readonly agentConfig?: Readonly<Record<string, unknown>>;
};

const rpcPort = 8781;
const controllerPort = 8780;

/**
 * Two hosts as network namespaces, each with its own agent process, guest bridge and management address, one fabric, a client namespace, a shared pool, and the part of a controller that agents
 * need: join and images. The test itself is the controller. `close` leaves no process and no namespace. Any number of them may stand side by side.
 */
export async function startTwoHosts(options: TwoHostsOptions): Promise<TwoHosts> {
  const { place, free } = await claimPlace();
  const [prefix, network] = [`gwag${place}`, `10.79.${place}`];
  const dir = join(tmpdir(), `gw-ag-${place}`);
  const [fabric, client, a, b] = ['f', 'c', 'a', 'b'].map((end) => `${prefix}-${end}`) as [string, string, string, string];
  const ip = (namespace: string, text: string): Promise<unknown> => run('ip', ['-n', namespace, ...text.split(' ')]);
  const outside = `${prefix}-t`;
  await clear([fabric, client, a, b], outside);
  await removeWithMounts(dir);
  const poolPath = join(dir, 'pool');
  await mkdir(poolPath, { recursive: true });
  for (const namespace of [fabric, client, a, b]) {
    await run('ip', ['netns', 'add', namespace]);
    await ip(namespace, 'link set lo up');
  }
  for (const bridge of ['fabric', 'mgmt']) {
    await ip(fabric, `link add ${bridge} type bridge forward_delay 0`);
    await ip(fabric, `link set ${bridge} up`);
  }
  const cable = async (namespace: string, end: string, port: string, bridge: string): Promise<void> => {
    await ip(namespace, `link add ${end} type veth peer name ${port} netns ${fabric}`);
    await ip(fabric, `link set ${port} master ${bridge} up`);
    await ip(namespace, `link set ${end} up`);
  };
  await cable(client, 'eth0', 'up-c', 'fabric');
  await ip(client, 'addr add 10.89.0.2/24 dev eth0');
  // The test itself stands outside, on the management network: it is the controller.
  await run('ip', ['link', 'add', outside, 'type', 'veth', 'peer', 'name', 'mg-t', 'netns', fabric]);
  await ip(fabric, 'link set mg-t master mgmt up');
  await run('ip', ['link', 'set', outside, 'up']);
  await run('ip', ['addr', 'add', `${network}.254/24`, 'dev', outside]);
  for (const [index, namespace] of [a, b].entries()) {
    await cable(namespace, 'mgmt0', `mg-${index}`, 'mgmt');
    await ip(namespace, `addr add ${network}.${index + 1}/24 dev mgmt0`);
    await cable(namespace, 'up0', `up-${index}`, 'fabric');
  }

  const ca = await createTestCa();
  const ids = ['aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000002'];
  const releases: ReportReleaseRequest[] = [];
  const controller = await startControllerPart(ca, options.images, ids, releases, `${network}.254`);
  const hosts: TestHost[] = [];
  const own = await ca.controller([`${network}.254`]);
  const tokenSecret = 'test-secret-test-secret';
  for (const [index, namespace] of [a, b].entries()) {
    const name = index === 0 ? 'nodeA' : 'nodeB';
    const stateDir = join(dir, name);
    await mkdir(join(stateDir, 'local'), { recursive: true });
    await writeFile(join(stateDir, 'boot-id'), `boot-${name}-1\n`);
    await writeFile(join(stateDir, 'token'), `${tokenSecret}.${ca.fingerprint}`);
    const skew = options.clockSkewMs?.[index];
    await writeFile(
      join(stateDir, 'agent.json'),
      JSON.stringify({
        hostName: name,
        stateDir,
        driver: 'qemu',
        managementAddress: `${network}.${index + 1}`,
        rpcPort,
        controllerUrl: `https://${network}.254:${controllerPort}`,
        joinTokenFile: join(stateDir, 'token'),
        bootIdFile: join(stateDir, 'boot-id'),
        bridge: { name: 'br-guest', uplink: 'up0' },
        pools: [
          { name: 'shared', kind: 'shared', path: poolPath, declaredCoherent: true },
          { name: 'local', kind: 'local', path: join(stateDir, 'local') },
        ],
        ...options.agentConfig,
        accelerator: 'tcg',
        imageLocking: options.imageLocking ?? true,
        ...(skew !== undefined && { clockSkewMs: skew }),
      }),
    );
    hosts.push({
      name,
      namespace,
      address: `${network}.${index + 1}`,
      hostId: ids[index] ?? '',
      stateDir,
      bootId: `boot-${name}-1`,
      client: undefined as never,
      process: undefined as never,
      faults: '',
      served: false,
      link: undefined as never,
    });
  }
  const twoHosts: TwoHosts = {
    hosts: hosts as unknown as readonly [TestHost, TestHost],
    clientNamespace: client,
    fabricNamespace: fabric,
    dir,
    poolPath,
    releases,
    restart: async (host, faults = '') => {
      await ended(host.process);
      host.link?.close();
      host.faults = faults;
      host.served = false;
      host.process = startAgent(host);
      host.link = createTlsTransport(`https://${host.address}:${rpcPort}`, own, { role: 'host', hostId: host.hostId });
      host.client = createClient(Agent, host.link.transport);
      await untilServes(host);
      host.served = true;
    },
    powerLoss: async (host) => {
      await ended(host.process);
      await killAll(host.namespace);
      const journal = join(host.stateDir, 'custody', 'journal');
      const synced = Number(await readFile(`${journal}.synced`, 'utf8'));
      await truncate(journal, synced);
      const [, name = '', count = '0'] = /^(.*)-(\d+)$/.exec(host.bootId) ?? [];
      host.bootId = `${name}-${Number(count) + 1}`;
      await writeFile(join(host.stateDir, 'boot-id'), `${host.bootId}\n`);
    },
    mend: async () => {
      const isWell = ({ process: { exitCode, signalCode }, faults, served }: TestHost): boolean =>
        exitCode === null && signalCode === null && faults === '' && served;
      await Promise.all(hosts.filter((host) => !isWell(host)).map((host) => twoHosts.restart(host)));
    },
    in: async (namespace, ...command) => (await run('ip', ['netns', 'exec', namespace, ...command])).stdout,
    close: async () => {
      for (const host of hosts) {
        host.link?.close();
        await ended(host.process);
      }
      await controller.close();
      await clear([fabric, client, a, b], outside);
      // For whoever looks into a failure: the agents' logs and journals stay.
      if (process.env['GODWIT_KEEP_TEST_DIR'] === undefined) await removeWithMounts(dir);
      await free();
    },
  };
  try {
    await Promise.all(hosts.map((host) => twoHosts.restart(host)));
    return twoHosts;
  } catch (error) {
    await twoHosts.close();
    throw error;
  }
}

/** Where a file with a fault point's name holds the agent there as long as it exists. */
const faultPointsOf = (host: TestHost): string => join(host.stateDir, 'fault-points');

/** Arms a fault point of an agent that runs. Resolves with what waits until the agent is held there, and what lets it go. */
export async function holdAt(host: TestHost, point: FaultPoint) {
  const file = join(faultPointsOf(host), point);
  const log = join(host.stateDir, 'agent.log');
  const from = (await stat(log)).size;
  await mkdir(faultPointsOf(host), { recursive: true });
  await writeFile(file, '');
  return {
    held: async (): Promise<void> => {
      for (const until = performance.now() + 30_000; performance.now() < until; await new Promise((resolve) => setTimeout(resolve, 5)))
        if ((await readFile(log)).subarray(from).includes(`"faultPoint":"${point}"`)) return;
      throw new Error(
        `the agent of ${host.name} did not come to ${point}: it ${endOf(host.process)}; its last words:\n${await lastWords(log)}`,
      );
    },
    letGo: () => rm(file, { force: true }),
  };
}

function startAgent(host: TestHost): ChildProcess {
  const log = openSync(join(host.stateDir, 'agent.log'), 'a');
  return spawn(
    'ip',
    [
      'netns',
      'exec',
      host.namespace,
      process.execPath,
      join(import.meta.dirname, '../main.ts'),
      '--config',
      join(host.stateDir, 'agent.json'),
    ],
    {
      stdio: ['ignore', log, log],
      env: {
        PATH: process.env['PATH'],
        GODWIT_FAULT_POINTS: host.faults,
        GODWIT_FAULT_POINTS_DIR: faultPointsOf(host),
        GODWIT_LOG_LEVEL: 'debug',
        // As bin/godwit has it: an agent that has been compiled before is there in half the time.
        NODE_COMPILE_CACHE: join(import.meta.dirname, '../../../../.cache/compile'),
      },
    },
  );
}

async function untilServes(host: TestHost): Promise<void> {
  const until = performance.now() + 30_000;
  for (;;) {
    try {
      await host.client.getHost({}, { timeoutMs: 2_000 });
      return;
    } catch (error) {
      const isGone = host.process.exitCode !== null || host.process.signalCode !== null;
      if (isGone || performance.now() > until) {
        const words = await lastWords(join(host.stateDir, 'agent.log'));
        throw new Error(
          `the agent of ${host.name} does not serve: it ${endOf(host.process)}; asked, it gave ${String(error)}; its last words:\n${words}`,
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Kills a child (SIGKILL) unless it is dead, and waits for it. */
export async function ended(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

async function startControllerPart(
  ca: TestCa,
  images: Readonly<Record<string, string>>,
  ids: readonly string[],
  releases: ReportReleaseRequest[],
  address: string,
): Promise<{ close(): Promise<void> }> {
  const own = await ca.controller([address]);
  const rpc = connectNodeAdapter({
    routes: (router) => {
      router.service(Cluster, {
        join: async (request) => {
          const hostId = ids[request.hostName === 'nodeA' ? 0 : 1] ?? '';
          return { hostId, certificatePem: await ca.sign(request.certificateRequestPem, hostId, [request.address]), caPem: ca.caPem };
        },
        reportRelease: (request) => {
          releases.push(request);
          return {};
        },
      });
    },
  });
  const server = createSecureServer(
    {
      key: own.privateKeyPem,
      cert: own.certificatePem + ca.caPem,
      ca: ca.caPem,
      requestCert: true,
      rejectUnauthorized: false,
      allowHTTP1: true,
    },
    (request, response) => {
      const image = images[/^\/images\/([0-9a-f-]{36})\/file$/.exec(request.url)?.[1] ?? ''];
      if (!request.url.startsWith('/images/')) rpc(request, response);
      else if (image === undefined) response.writeHead(404).end();
      else createReadStream(image).pipe(response as never);
    },
  );
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(controllerPort, address, () => resolve()));
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const one of sockets) one.destroy();
      await closed;
    },
  };
}

/**
 * Removes namespaces, and first kills what still runs in them: QEMUs and agents of ours, nobody else's. And the cable's end outside, which the kernel else takes away with its namespace's last
 * process, some time later: the next holder of the place could not make its own.
 */
async function clear(namespaces: readonly string[], outside: string): Promise<void> {
  await run('ip', ['link', 'del', outside]).catch(() => undefined);
  for (const namespace of namespaces) {
    await killAll(namespace);
    await run('ip', ['netns', 'del', namespace]).catch(() => undefined);
  }
}

/** A test that was killed may have left a disk of its own mounted there. */
async function removeWithMounts(dir: string): Promise<void> {
  const mounted = (await readFile('/proc/mounts', 'utf8')).split('\n').flatMap((line) => line.split(' ')[1] ?? []);
  for (const one of mounted.filter((path) => path.startsWith(`${dir}/`)).toReversed()) await run('umount', ['-l', one]);
  await rm(dir, { recursive: true, force: true });
}

/** Kills what runs in a namespace, and resolves when it is gone. */
async function killAll(namespace: string): Promise<void> {
  for (const until = performance.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
    const pids = await run('ip', ['netns', 'pids', namespace]).then(
      ({ stdout }) => stdout.split('\n').filter(Boolean),
      () => [],
    );
    if (pids.length === 0) return;
    if (performance.now() > until) throw new Error(`in ${namespace} ${pids.join(', ')} do not die`);
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // gone meanwhile
      }
    }
  }
}
