import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { BoundSocket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { claimPlace } from '@godwit/contract/testing/claim-place';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { type LabPlan, labFiles, type ProcessSpec, writeLabPlan } from '../lab-plan.ts';
import { ipBatch } from '../network/ip-batch.ts';
import { namespaceProcesses } from '../network/namespace-processes.ts';
import { createNetwork, destroyNetwork } from '../network/network.ts';
import { planTopology } from '../network/topology.ts';
import { isAlive, killIdentity, readIdentity } from '../process-identity.ts';
import { buildReaper } from './build-reaper.ts';
import { askSupervisor } from './control-client.ts';
import type { SupervisorStatus } from './control-protocol.ts';
import { launchSupervisor } from './launch.ts';

const run = promisify(execFile);
const { place, free } = await claimPlace();
const topology = planTopology(`gwlabt${place}`, 1);
const [node = failed()] = topology.nodes;
function failed(): never {
  throw new Error('the plan has one host');
}
let dir: string;
let socket: BoundSocket;

/** Serves HTTP on the inherited listener, as the controller does: which process answered is in the answer. */
const standInController = `require('node:http').createServer((_, response) => response.end(String(process.pid))).listen({ fd: 3 })`;
/** Leaves an orphan in its namespace, as an agent does with its guests, and notes its clock. */
const standInAgent = `
  require('node:child_process').spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref();
  require('node:fs').writeFileSync(process.env.NOTE, process.env.GODWIT_CLOCK_SKEW_MS ?? 'true time');
  setInterval(() => {}, 1000)`;

afterAll(free);
beforeEach(async () => {
  // A run that was killed has left its own.
  await destroyNetwork(topology.labId);
  dir = await mkdtemp(path.join(tmpdir(), 'gw-lab-sup-'));
  socket = new BoundSocket({ host: '127.0.0.1', port: 0 });
});

afterEach(async () => {
  await askSupervisor(dir, { op: 'shutdown' }).catch(() => {});
  const supervisor = await readIdentity(labFiles(dir).supervisorPid);
  if (supervisor !== undefined) await killIdentity(supervisor);
  await destroyNetwork(topology.labId);
  socket.close();
  await rm(dir, { recursive: true });
});

/** The lab with its processes up and the controller serving: only from its first `listen` on do connections wait in a queue. */
async function launch(): Promise<SupervisorStatus> {
  await mkdir(path.join(dir, 'node1'), { recursive: true });
  await writeFile(path.join(dir, 'node1', 'boot-id'), 'first boot\n');
  await createNetwork(topology);
  const process = (name: string, namespace: string, code: string): ProcessSpec => ({
    name,
    namespace,
    command: [globalThis.process.execPath, '-e', code],
    environment: { NOTE: path.join(dir, 'note') },
    inheritsPublicSocket: false,
    startsAtOnce: true,
  });
  const plan: LabPlan = {
    version: 1,
    labId: topology.labId,
    dir,
    publicUrl: `http://127.0.0.1:${socket.address().port}`,
    port: socket.address().port,
    fabricNamespace: topology.fabricNamespace,
    clientNamespace: topology.clientNamespace,
    hosts: [
      {
        name: 'node1',
        namespace: node.namespace,
        stateDir: path.join(dir, 'node1'),
        bootIdFile: path.join(dir, 'node1', 'boot-id'),
        fabricPort: node.fabricPort,
        managementPort: node.managementPort,
      },
    ],
    simulatedHosts: 0,
    faultInjection: false,
    processes: [
      { ...process('controller', topology.fabricNamespace, standInController), inheritsPublicSocket: true },
      { ...process('agent-node1', node.namespace, standInAgent), host: 'node1' },
      { ...process('crasher', node.namespace, 'process.exit(3)'), startsAtOnce: false },
    ],
  };
  await writeLabPlan(plan);
  const status = await launchSupervisor(dir, socket.fd(), await buildReaper());
  await expect
    .poll(
      () =>
        answerer().then(
          () => 'up',
          () => 'down',
        ),
      { timeout: 15_000 },
    )
    .toBe('up');
  return status;
}

const publicUrl = () => `http://127.0.0.1:${socket.address().port}/`;
const answerer = async () => Number(await (await fetch(publicUrl(), { headers: { connection: 'close' } })).text());
const status = () => askSupervisor(dir, { op: 'status' });
const report = async (name: string) => (await status()).processes.find((one) => one.name === name);
const pidOf = async (name: string) => (await report(name))?.pid;
const withNewPid = async (name: string, old: number | undefined) => {
  await expect.poll(async () => (await pidOf(name)) ?? old, { timeout: 15_000 }).not.toBe(old);
};
const noteWritten = (text: string) =>
  expect.poll(() => readFile(path.join(dir, 'note'), 'utf8').catch(() => ''), { timeout: 15_000 }).toBe(text);

test('a killed controller is started again at once, and a request made while it is down waits instead of being refused', async () => {
  await launch();
  const first = await answerer();
  expect(first).toBe(await pidOf('controller'));
  await askSupervisor(dir, { op: 'kill', process: 'controller' });
  const second = await answerer();
  expect(second).not.toBe(first);
  expect((await report('controller'))?.restarts).toBe(1);
});

test('a supervisor that was killed leaves everything running; the next one takes over without two of anything', async () => {
  const before = await launch();
  const controller = await pidOf('controller');
  const agent = await pidOf('agent-node1');
  process.kill(before.pid, 'SIGKILL');
  await expect
    .poll(async () =>
      status().then(
        () => 'up',
        () => 'down',
      ),
    )
    .toBe('down');
  expect(await answerer()).toBe(controller);
  await launchSupervisor(dir, socket.fd(), await buildReaper());
  await withNewPid('agent-node1', agent);
  expect(await namespaceProcesses(node.namespace)).not.toContain(agent);
  expect(await answerer()).not.toBe(controller);
});

test('power loss: all processes gone, orphans too, unsynced bytes lost, bridges gone, another boot id, agent back', async () => {
  await launch();
  await noteWritten('true time');
  const before = await namespaceProcesses(node.namespace);
  expect(before.length).toBeGreaterThanOrEqual(2);
  await writeFile(path.join(dir, 'node1', 'journal'), 'synced-lost');
  await writeFile(path.join(dir, 'node1', 'journal.synced'), '6');
  await ipBatch(['link add br0 type bridge', 'tuntap add tap0 mode tap'], node.namespace);
  await askSupervisor(dir, { op: 'power-loss', host: 'node1', stayOff: true });
  expect(await namespaceProcesses(node.namespace)).toEqual([]);
  expect((await report('agent-node1'))?.state).toBe('stopped');
  expect(await readFile(path.join(dir, 'node1', 'journal'), 'utf8')).toBe('synced');
  expect(await readFile(path.join(dir, 'node1', 'boot-id'), 'utf8')).not.toBe('first boot\n');
  await ipBatch(['link add br0 type bridge'], node.namespace);
  await askSupervisor(dir, { op: 'power-on', host: 'node1' });
  expect((await report('agent-node1'))?.state).toBe('running');
  await expect.poll(async () => (await namespaceProcesses(node.namespace)).length, { timeout: 15_000 }).toBeGreaterThanOrEqual(2);
});

test('a host that hangs stops with all its processes, guests included, and goes on when thawed', async () => {
  await launch();
  await noteWritten('true time');
  const states = async () => {
    const pids = await namespaceProcesses(node.namespace);
    return Promise.all(pids.map(async (pid) => /\) (\S) /.exec(await readFile(`/proc/${pid}/stat`, 'utf8'))?.[1]));
  };
  await askSupervisor(dir, { op: 'freeze-host', host: 'node1' });
  await expect.poll(async () => new Set(await states()), { timeout: 15_000 }).toEqual(new Set(['T']));
  await askSupervisor(dir, { op: 'thaw-host', host: 'node1' });
  await expect.poll(async () => (await states()).includes('T'), { timeout: 15_000 }).toBe(false);
});

test('a cable is pulled and plugged at the fabric, the other one stays', async () => {
  await launch();
  const linkOf = async (port: string) => {
    const { stdout } = await run('ip', ['-netns', topology.fabricNamespace, '-json', 'link', 'show', 'dev', port]);
    return (JSON.parse(stdout) as readonly { readonly flags: readonly string[] }[])[0]?.flags.includes('UP');
  };
  await askSupervisor(dir, { op: 'cable', host: 'node1', cable: 'management', state: 'down' });
  expect([await linkOf(node.managementPort), await linkOf(node.fabricPort)]).toEqual([false, true]);
  await askSupervisor(dir, { op: 'cable', host: 'node1', cable: 'fabric', state: 'down' });
  await askSupervisor(dir, { op: 'cable', host: 'node1', cable: 'management', state: 'up' });
  expect([await linkOf(node.managementPort), await linkOf(node.fabricPort)]).toEqual([true, false]);
});

test('a skewed clock reaches the agent, and a true one comes back', async () => {
  await launch();
  await noteWritten('true time');
  await askSupervisor(dir, { op: 'clock-skew', process: 'agent-node1', skewMs: -500 });
  await noteWritten('-500');
  await askSupervisor(dir, { op: 'clock-skew', process: 'agent-node1', skewMs: 0 });
  await noteWritten('true time');
});

test('a process that cannot start is tried again, more and more slowly, and can be stopped', async () => {
  await launch();
  await askSupervisor(dir, { op: 'start', process: 'crasher' });
  await expect.poll(async () => (await report('crasher'))?.restarts, { timeout: 15_000 }).toBeGreaterThanOrEqual(3);
  await askSupervisor(dir, { op: 'stop', process: 'crasher' });
  expect(await report('crasher')).toMatchObject({ state: 'stopped', lastExit: 'exit 3' });
  const { restarts } = (await report('crasher')) ?? { restarts: -1 };
  expect(restarts).toBeLessThan(8);
});

test('a frozen process runs nothing until thawed, and can be stopped while frozen', async () => {
  await launch();
  await askSupervisor(dir, { op: 'freeze', process: 'controller' });
  const answer = answerer();
  expect(await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 300, 'silence'))])).toBe('silence');
  expect((await report('controller'))?.state).toBe('frozen');
  await askSupervisor(dir, { op: 'thaw', process: 'controller' });
  expect(await answer).toBe(await pidOf('controller'));
  await askSupervisor(dir, { op: 'freeze', process: 'controller' });
  await askSupervisor(dir, { op: 'stop', process: 'controller' });
  expect((await report('controller'))?.state).toBe('stopped');
});

test('unknown targets and operations are refused with what there is, and nothing changes', async () => {
  await launch();
  await expect(askSupervisor(dir, { op: 'kill', process: 'nobody' })).rejects.toMatchObject({
    code: 'UNKNOWN_TARGET',
    message: expect.stringContaining('agent-node1'),
  });
  await expect(askSupervisor(dir, { op: 'power-loss', host: 'node9' })).rejects.toMatchObject({ code: 'UNKNOWN_TARGET' });
  await expect(askSupervisor(dir, { op: 'explode' } as never)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
  expect((await status()).processes.map((one) => one.restarts)).toEqual([0, 0, 0]);
});

test('shutdown ends what it started and then itself; the port is free again', async () => {
  const { pid } = await launch();
  const controller = await pidOf('controller');
  const identity = await readIdentity(labFiles(dir).supervisorPid);
  expect(identity?.pid).toBe(pid);
  await askSupervisor(dir, { op: 'shutdown' });
  await expect.poll(() => (identity === undefined ? false : isAlive(identity)), { timeout: 15_000 }).toBe(false);
  expect(await namespaceProcesses(topology.fabricNamespace)).not.toContain(controller);
  await expect(status()).rejects.toMatchObject({ code: 'NOT_RUNNING' });
});
