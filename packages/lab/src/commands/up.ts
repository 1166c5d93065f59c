import { randomUUID } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import type { BoundSocket } from 'node:net';
import path from 'node:path';
import { readBootstrap, requestJoinTokens, runBootstrap } from '../cloud/controller-commands.ts';
import { ApiFailure, type Credentials, signIn } from '../cloud/openstack-client.ts';
import { seedCloud, seedMetalServer } from '../cloud/seed.ts';
import { buildGuestImage, repositoryRoot } from '../guest/build-image.ts';
import { configureLab, type LabConfig } from '../lab-config.ts';
import { LabError } from '../lab-error.ts';
import { type LabPlan, labFiles, readLabPlan, writeLabPlan } from '../lab-plan.ts';
import { createNetwork, destroyNetwork, labNamespaces } from '../network/network.ts';
import { planTopology } from '../network/topology.ts';
import { openrcText, parseOpenrc, writeOpenrc } from '../openrc.ts';
import { isAlive, killIdentity, readIdentity } from '../process-identity.ts';
import { claimPublicPort } from '../public-port.ts';
import { buildReaper } from '../supervisor/build-reaper.ts';
import { askSupervisor } from '../supervisor/control-client.ts';
import type { SupervisorStatus } from '../supervisor/control-protocol.ts';
import { launchSupervisor } from '../supervisor/launch.ts';
import { waitFor } from '../wait-for.ts';
import { type LabDirectory, makeAlias } from './lab-directory.ts';

export interface UpOptions {
  readonly directory: LabDirectory;
  /** Undefined: 3, or what the running lab has. */
  readonly hosts: number | undefined;
  readonly port: number | undefined;
  readonly simulatedHosts: number | undefined;
  /** For the fault suite; what the lab is brought up with stays. */
  readonly faultInjection: boolean;
  readonly note: (line: string) => void;
}

export interface UpResult {
  readonly plan: LabPlan;
  readonly admin: Credentials;
  /** False when a lab ran already and was left as it was. */
  readonly started: boolean;
}

const region = 'RegionOne';
const defaultHosts = 3;

/**
 * Brings the lab in the directory up, or completes one that is half up: what runs is left running. When it resolves, the cloud answers
 * at its URL, every host is up in it, it is seeded (but for the bare-metal instance, whose failure is only noted), and both openrc files are written. When it throws, what was started is left for
 * its logs to be read; `down` clears it, and another `up` goes on.
 */
export async function up(options: UpOptions): Promise<UpResult> {
  const { directory, note } = options;
  const image = buildGuestImage();
  image.catch(() => {}); // awaited below; a refusal before that must not be lost as an unhandled one
  const running = await runningSupervisor(directory.dir);
  const before = await readLabPlan(directory.dir);
  if (before !== undefined) refuseOtherShape(before, options, running !== undefined);
  const topology = planTopology(directory.labId, options.hosts ?? before?.hosts.length ?? defaultHosts);
  const shape = (port: number) => ({
    dir: directory.dir,
    alias: directory.alias,
    port,
    simulatedHosts: options.simulatedHosts ?? before?.simulatedHosts ?? 0,
    faultInjection: options.faultInjection || before?.faultInjection === true,
    executable: path.join(repositoryRoot, 'bin', 'godwit'),
  });
  let config: LabConfig;
  if (running !== undefined && before !== undefined) {
    config = configureLab(topology, shape(before.port));
  } else {
    if (before !== undefined) await endPublicListeners(before);
    const socket = await claimAsBefore(options.port, before?.port);
    try {
      config = configureLab(topology, shape(socket.address().port));
      // Namespaces of a lab whose supervisor died hold its guests: they are taken over. Half of them are worth nothing.
      if ((await labNamespaces(directory.labId)).length !== topology.nodes.length + 2) {
        await destroyNetwork(directory.labId);
        await createNetwork(topology);
        note(`network: ${topology.nodes.length} hosts, a client and a fabric, as namespaces ${directory.labId}-*`);
      } else note(`network: found ${directory.labId}-*, taking it over`);
      // After the network: where that is not permitted, nothing has been written either.
      await mkdir(directory.dir, { recursive: true });
      await makeAlias(directory);
      await writeFiles(config);
      await launchSupervisor(directory.dir, socket.fd(), await buildReaper());
    } finally {
      socket.close();
    }
    note(`supervisor: started, logs in ${labFiles(directory.dir).logs}`);
  }

  const { plan } = config;
  const logs = labFiles(directory.dir).logs;
  // The bootstrap and the tokens need only the database, which any of the three starts: nobody waits for the controller to serve.
  const [admin] = await Promise.all([
    adminCredentials(config),
    startAgents(config),
    waitFor(
      `the controller did not answer at ${plan.publicUrl} (see ${logs}/controller.log)`,
      () => answers(`${plan.publicUrl}/healthz`),
      30_000,
    ).then(() => note(`controller: serves ${plan.publicUrl}`)),
  ]);
  await writeOpenrc(directory.dir, 'openrc', openrcText(admin, region));
  const member = await knownCredentials(directory.dir, 'openrc-demo');
  // Again, because a lab that was taken over may have had to take another port.
  if (member !== undefined) await writeOpenrc(directory.dir, 'openrc-demo', openrcText({ ...member, authUrl: admin.authUrl }, region));
  await seedCloud({
    admin,
    image: await image,
    memberIsKnown: member !== undefined,
    onMember: (made) => writeOpenrc(directory.dir, 'openrc-demo', openrcText(made, region)),
    note,
  });
  await waitForHosts(admin, config, note);
  // Only there to be refused: the cloud is usable without it, and says so.
  await seedMetalServer(admin, (look) => waitFor('it did not become ACTIVE', look, 30_000, 100)).then(
    () => note('seeded: bare-metal instance metal-demo'),
    (error: unknown) => note(`NOT seeded: bare-metal instance metal-demo: ${error instanceof Error ? error.message : String(error)}`),
  );
  return { plan, admin, started: running === undefined };
}

/** Undefined when none runs, also when it died while being asked. */
async function runningSupervisor(dir: string): Promise<SupervisorStatus | undefined> {
  return askSupervisor(dir, { op: 'status' }, 5000).catch(async (error: unknown) => {
    if (error instanceof LabError && error.code === 'NOT_RUNNING') return undefined;
    const identity = await readIdentity(labFiles(dir).supervisorPid);
    if (identity === undefined || !(await isAlive(identity))) return undefined;
    throw error;
  });
}

function refuseOtherShape(before: LabPlan, options: UpOptions, isRunning: boolean): void {
  const other = (what: string, has: number, wanted: number): never => {
    throw new LabError(
      'ALREADY_RUNNING',
      `the lab in ${before.dir} has ${what} ${has}, not ${wanted}; take it down first ("godwit lab down"), or use another --dir`,
    );
  };
  if (options.hosts !== undefined && options.hosts !== before.hosts.length) other('hosts', before.hosts.length, options.hosts);
  if (options.simulatedHosts !== undefined && options.simulatedHosts !== before.simulatedHosts)
    other('simulated hosts', before.simulatedHosts, options.simulatedHosts);
  if (isRunning && options.port !== undefined && options.port !== before.port) other('port', before.port, options.port);
}

/**
 * A supervisor that was killed leaves its controller running, on the port that the next one is to have; and it may itself still be
 * on its way out, its sockets not yet closed. When this resolves, neither runs.
 */
async function endPublicListeners(plan: LabPlan): Promise<void> {
  const files = labFiles(plan.dir);
  const names = plan.processes.filter((spec) => spec.inheritsPublicSocket).map((spec) => path.join(files.run, `${spec.name}.pid`));
  for (const file of [files.supervisorPid, ...names]) {
    const left = await readIdentity(file);
    if (left !== undefined) await killIdentity(left);
  }
}

/** The port the lab had before, if it is free: openrc files and terminals know it. */
async function claimAsBefore(wanted: number | undefined, before: number | undefined): Promise<BoundSocket> {
  if (wanted !== undefined || before === undefined) return claimPublicPort(wanted);
  return claimPublicPort(before).catch(() => claimPublicPort(undefined));
}

async function writeFiles(config: LabConfig): Promise<void> {
  for (const directory of config.directories) await mkdir(directory, { recursive: true });
  for (const { file, content } of config.files) await writeFile(file, `${JSON.stringify(content, null, 2)}\n`);
  for (const host of config.plan.hosts) {
    // Kept over a restart of the lab's processes: only a power loss makes another one.
    await writeFile(host.bootIdFile, `${randomUUID()}\n`, { flag: 'wx' }).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }
  await writeLabPlan(config.plan);
}

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );
}

async function knownCredentials(dir: string, name: string): Promise<Credentials | undefined> {
  return parseOpenrc(await readFile(path.join(dir, `${name}.sh`), 'utf8').catch(() => ''));
}

/** From the openrc of an earlier `up`; on a new cloud from the bootstrap, which makes the password. */
async function adminCredentials(config: LabConfig): Promise<Credentials> {
  const { dir, publicUrl } = config.plan;
  const authUrl = `${publicUrl}/identity/v3`;
  const known = await knownCredentials(dir, 'openrc');
  if (known !== undefined) return { ...known, authUrl };
  await runBootstrap(config);
  return { authUrl, userName: 'admin', password: await readBootstrap(config), projectName: 'admin', domainName: 'Default' };
}

/** Agents without a token get one and are started; those that joined already only start. */
async function startAgents(config: LabConfig): Promise<void> {
  const missing = [];
  for (const join of config.joins) if ((await stat(join.tokenFile).catch(() => undefined)) === undefined) missing.push(join);
  if (missing.length > 0) {
    const tokens = await requestJoinTokens(
      config,
      missing.flatMap((join) => join.hosts),
    );
    let next = 0;
    for (const join of missing) {
      const own = tokens.slice(next, (next += join.hosts.length));
      await writeFile(join.tokenFile, `${own.join('\n')}\n`, { mode: 0o600 });
    }
  }
  for (const join of config.joins) await askSupervisor(config.plan.dir, { op: 'start', process: join.process });
}

async function waitForHosts(admin: Credentials, config: LabConfig, note: (line: string) => void): Promise<void> {
  const cloud = await signIn(admin);
  const expected = config.joins.flatMap((join) => join.hosts);
  const isUp = new Set<string>();
  const look = async (): Promise<boolean> => {
    const { services } = await cloud
      .request<{ readonly services: readonly { readonly host: string; readonly binary: string; readonly state: string }[] }>(
        'compute',
        'GET',
        '/os-services?binary=nova-compute',
      )
      .catch((error: unknown) => {
        if (error instanceof ApiFailure && error.status >= 500) return { services: [] };
        throw error;
      });
    for (const service of services) {
      if (service.state !== 'up' || isUp.has(service.host)) continue;
      isUp.add(service.host);
      if (expected.length <= 20) note(`host ${service.host}: up`);
    }
    return expected.every((host) => isUp.has(host));
  };
  const logs = labFiles(config.plan.dir).logs;
  // A thousand simulated ones take about 10 s alone, and 70 s beside much other work; asking for all of them ten times a second would keep them waiting.
  const [deadlineMs, everyMs] = expected.length <= 20 ? [60_000, 100] : [60_000 + expected.length * 200, 500];
  await waitFor(`not every host joined (see ${logs}/agent-*.log)`, look, deadlineMs, everyMs).catch((cause: unknown) => {
    const missing = expected.filter((host) => !isUp.has(host)).slice(0, 10);
    throw cause instanceof LabError ? new LabError(cause.code, `${cause.message}; missing: ${missing.join(', ')}`, { cause }) : cause;
  });
}
