import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { AgentConfig } from '@godwit/contract/config/agent-config';
import type { ControllerConfig } from '@godwit/contract/config/controller-config';
import { repositoryRoot } from '../guest/build-image.ts';
import { LabError } from '../lab-error.ts';
import { waitFor } from '../wait-for.ts';
import { type Credentials, type OpenStackClient, signIn } from './openstack-client.ts';

const run = promisify(execFile);
const executable = path.join(repositoryRoot, 'bin', 'godwit');

export type SimulatedCloudOptions = {
  readonly hosts: number;
  /** What GODWIT_SIMULATED_TIMINGS may hold; milliseconds, bytes per second. */
  readonly timings?: Readonly<Record<string, number>>;
  /** The same for single hosts, by name: a host whose guests do not start, or whose copies break or never end. */
  readonly hostTimings?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly ramMib?: number;
  /** Settings of the controller beside those that make it run. */
  readonly controller?: Partial<ControllerConfig>;
};

export type SimulatedCloud = {
  readonly directory: string;
  readonly admin: Credentials;
  readonly client: OpenStackClient;
  readonly publicUrl: string;
  /** Of the controller, and of the process that plays every host. */
  readonly pids: { readonly controller: number; readonly agent: number };
  /** Made once: an image that nothing reads, a network with 16,000 addresses, a flavor of 1 VCPU and 64 MiB. */
  readonly imageId: string;
  readonly networkId: string;
  readonly flavorId: string;
  /** Starts one more controller of this name on the same database, and resolves once it answers: with its address, and its process. */
  readonly another: (name: string) => Promise<{ readonly publicUrl: string; readonly pid: number }>;
  readonly stop: () => Promise<void>;
};

/**
 * A cloud of simulated hosts `sim1`… on this machine: one controller with its own database, one process that plays the hosts. No namespaces, no QEMU, no root. When it resolves
 * every host is up; when it throws nothing is left.
 */
export async function startSimulatedCloud(options: SimulatedCloudOptions): Promise<SimulatedCloud> {
  const directory = await mkdtemp(path.join(tmpdir(), 'gwsim-'));
  const children: ChildProcess[] = [];
  const controllerDir = path.join(directory, 'controller');
  const controllerFile = path.join(directory, 'controller.json');
  const stop = async (): Promise<void> => {
    for (const child of children) await ended(child);
    await run(executable, ['controller', 'stop-database', '--config', controllerFile]).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await mkdir(controllerDir);
    const [publicPort, agentPort] = await freePorts();
    const publicUrl = `http://127.0.0.1:${publicPort}`;
    const controller: ControllerConfig = {
      logLevel: 'warn',
      ...options.controller,
      stateDir: controllerDir,
      listen: { address: '127.0.0.1', port: publicPort },
      publicUrl,
      agentListen: { address: '127.0.0.1', port: agentPort, names: ['127.0.0.1'] },
      executorName: 'controller',
      bootstrapOutput: path.join(controllerDir, 'admin-password'),
    };
    await writeFile(controllerFile, JSON.stringify(controller));
    const names = Array.from({ length: options.hosts }, (_, index) => `sim${index + 1}`);
    const agentDir = path.join(directory, 'agent');
    await mkdir(agentDir);
    const agent: AgentConfig = {
      hostName: 'simulated',
      stateDir: agentDir,
      driver: 'simulated',
      simulatedHosts: names.map((name, index) => ({
        name,
        hypervisorType: 'QEMU',
        zone: index % 2 === 0 ? 'az1' : 'az2',
        cores: 64,
        ramMib: options.ramMib ?? 262_144,
        diskGib: 4_000,
        ...(options.hostTimings?.[name] === undefined ? {} : { timings: options.hostTimings[name] }),
      })),
      managementAddress: '127.0.0.1',
      rpcPort: await freeRange(options.hosts),
      controllerUrl: `https://127.0.0.1:${agentPort}`,
      joinTokenFile: path.join(agentDir, 'join-token'),
      bridge: { name: 'simulated' },
      pools: [],
    };
    const agentFile = path.join(directory, 'agent.json');
    await writeFile(agentFile, JSON.stringify(agent));
    await run(executable, ['controller', 'bootstrap', '--config', controllerFile], { timeout: 120_000 });
    const tokens = run(
      executable,
      ['controller', 'join-token', 'create', ...names.flatMap((name) => ['--host', name]), '--config', controllerFile],
      { timeout: 120_000, maxBuffer: 1 << 24 },
    );
    const controllerPid = await started(children, 'controller', controllerFile, directory, {});
    await writeFile(agent.joinTokenFile, (await tokens).stdout, { mode: 0o600 });
    const agentPid = await started(children, 'agent', agentFile, directory, {
      GODWIT_SIMULATED_TIMINGS: JSON.stringify(options.timings ?? {}),
    });
    await waitFor('the controller did not answer', () => answers(`${publicUrl}/healthz`), 60_000, 50);
    const password = (await readFile(controller.bootstrapOutput ?? '', 'utf8')).trim();
    const admin: Credentials = {
      authUrl: `${publicUrl}/identity/v3`,
      userName: 'admin',
      password,
      projectName: 'admin',
      domainName: 'Default',
    };
    const client = await signIn(admin);
    const made = await seed(client);
    // Asking for a thousand of them ten times a second would keep them from joining.
    const everyMs = names.length <= 20 ? 100 : 500;
    await waitFor(
      `not every simulated host joined (see ${directory})`,
      async () => (await upHosts(client)) === names.length,
      300_000,
      everyMs,
    );
    const another = async (name: string): Promise<{ readonly publicUrl: string; readonly pid: number }> => {
      const { stdout } = await run(executable, ['controller', 'start-database', '--config', controllerFile], { timeout: 60_000 });
      const [port, hostsPort] = await freePorts();
      const url = `http://127.0.0.1:${port}`;
      const config: ControllerConfig = {
        ...controller,
        stateDir: path.join(directory, name),
        imageDir: path.join(controllerDir, 'images'),
        databaseUrl: stdout.trim(),
        listen: { address: '127.0.0.1', port },
        publicUrl: url,
        agentListen: { ...controller.agentListen, port: hostsPort },
        executorName: name,
      };
      const file = path.join(directory, `${name}.json`);
      await writeFile(file, JSON.stringify(config));
      const pid = await started(children, 'controller', file, directory, {});
      await waitFor(`the controller ${name} did not answer`, () => answers(`${url}/healthz`), 60_000, 50);
      return { publicUrl: url, pid };
    };
    return { directory, admin, client, publicUrl, pids: { controller: controllerPid, agent: agentPid }, ...made, another, stop };
  } catch (error) {
    const logs = await Promise.all(
      ['controller', 'agent'].map(async (what) => `${what}: ${await endOfLog(path.join(directory, `${what}.log`))}`),
    );
    const stood = children.map(({ pid, exitCode, signalCode }) => `pid ${pid} ${signalCode ?? exitCode ?? 'runs'}`).join(', ');
    await stop();
    // The logs go with the directory.
    const why = error instanceof Error ? error.message : String(error);
    throw new LabError('NOT_READY', `the simulated cloud did not come up: ${why} (${stood})\n${logs.join('\n')}`, { cause: error });
  }
}

const endOfLog = (file: string): Promise<string> =>
  readFile(file, 'utf8').then(
    (text) => text.slice(-3_000),
    () => 'no log',
  );

async function started(
  children: ChildProcess[],
  what: 'controller' | 'agent',
  file: string,
  directory: string,
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const log = await open(path.join(directory, `${what}.log`), 'a');
  try {
    const child = spawn(executable, [what, '--config', file], {
      env: { ...process.env, GODWIT_LOG_LEVEL: 'warn', ...environment },
      stdio: ['ignore', log.fd, log.fd],
    });
    children.push(child);
    if (child.pid === undefined) throw new LabError('NOT_READY', `${executable} could not be started`);
    return child.pid;
  } finally {
    await log.close();
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await gone;
  clearTimeout(timer);
}

/** Ports that were free a moment ago, below those that the kernel gives to whoever asks for any: none of these gets one meanwhile. */
async function freePorts(): Promise<readonly [number, number]> {
  const first = await freeRange(2);
  return [first, first + 1];
}

/** The first of `count` ports below the range from which the kernel takes its own, all of which were free a moment ago. */
async function freeRange(count: number): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = 10_000 + Math.floor(Math.random() * (22_000 - count));
    const looks = await Promise.all(Array.from({ length: count }, (_, offset) => isFree(first + offset)));
    if (looks.every(Boolean)) return first;
  }
  throw new LabError('PORT_TAKEN', `no ${count} free ports between 10000 and 32000 were found`);
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.ok,
    () => false,
  );
}

async function upHosts(client: OpenStackClient): Promise<number> {
  const { services } = await client.request<{ readonly services: readonly { readonly state: string }[] }>(
    'compute',
    'GET',
    '/os-services?binary=nova-compute',
  );
  return services.filter((service) => service.state === 'up').length;
}

async function seed(client: OpenStackClient): Promise<Pick<SimulatedCloud, 'imageId' | 'networkId' | 'flavorId'>> {
  const image = await client.request<{ readonly id: string }>('image', 'POST', '/v2/images', {
    body: { name: 'simulated', visibility: 'public', disk_format: 'raw', container_format: 'bare' },
  });
  await client.request('image', 'PUT', `/v2/images/${image.id}/file`, { stream: new Uint8Array(1 << 20) });
  const { network } = await client.request<{ readonly network: { readonly id: string } }>('network', 'POST', '/v2.0/networks', {
    body: { network: { name: 'simulated', shared: true } },
  });
  await client.request('network', 'POST', '/v2.0/subnets', {
    body: { subnet: { name: 'simulated', network_id: network.id, ip_version: 4, cidr: '10.64.0.0/18', gateway_ip: null } },
  });
  const { flavor } = await client.request<{ readonly flavor: { readonly id: string } }>('compute', 'POST', '/flavors', {
    body: { flavor: { name: 'simulated', vcpus: 1, ram: 64, disk: 1, id: null } },
  });
  return { imageId: image.id, networkId: network.id, flavorId: flavor.id };
}
