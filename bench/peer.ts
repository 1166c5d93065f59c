import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ClientProbe, startProbe } from '@godwit/lab/client/probe';
import { startWitness, type Witness } from '@godwit/lab/client/witness';
import { describeViolation } from '@godwit/lab/client/witness-judge';
import { type OpenStackClient, signIn } from '@godwit/lab/cloud/openstack-client';
import { type DemoServer, ensureGuest } from '@godwit/lab/demo/demo-cloud';
import type { LabPlan } from '@godwit/lab/lab-plan';
import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import { waitFor } from '@godwit/lab/wait-for';
import { withLab } from './bench-lab.ts';
import { measureForeignLoad } from './foreign-load.ts';
import { moveByGodwit } from './peer/move-by-godwit.ts';
import { type PeerMove, type PeerSystem, type PeerTimes, type PeerWindow, peerCells } from './peer/peer-move.ts';
import { PeerPair, type SpecLike } from './peer/peer-pair.ts';
import { printPeer } from './peer/print-peer.ts';
import { resultsOf } from './results.ts';
import { shuffled } from './shuffled.ts';

const setup = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'tools', 'setup.sh');

/** Of the guest that is not moved just now: the witness goes on seeing it. Slower, and a new rate would take seconds to begin. */
const idleHeartbeat = 'heartbeat 10';
const workingSetMib = 128;
/** The working set is written, and the rate settles. */
const settleMs = 1_500;
const settleAtRestMs = 800;
/** How long the client looks on after a move, so that a stall at its end is seen in full. */
const afterglowMs = 500;
/** Left for taking everything down. */
const reserveMs = 25_000;

type Subject = { readonly address: string; readonly move: (system: PeerSystem, tls: boolean) => Promise<PeerTimes> };

/**
 * One guest of Godwit's and one of libvirt's, of the same kernel, disk and devices, on the same two hosts and the same QEMU, moved in turns in random order for `seconds`, with TLS in both and then
 * in neither, or the other way round. Prints all that such windows have measured so far. A window in which a move failed or something was lost counts for nothing; the exit code says so.
 */
export async function benchPeer(seconds: number): Promise<PeerWindow | null> {
  const before = resultsOf('peer').map(({ raw }) => raw as PeerWindow);
  if (seconds === 0) {
    printPeer(before);
    return null;
  }
  execFileSync(setup, ['--peer'], { stdio: 'inherit' });
  const endAtMs = performance.now() + seconds * 1000 - reserveMs;
  const moves: PeerMove[] = [];
  let libvirt = 'unknown';
  let broken: string | undefined;
  try {
    await withLab(async ({ plan, admin }) => {
      const cloud = await signIn(admin);
      const guest = await ensureGuest(cloud, 'bench', 'demo.small');
      const witness = await startWitness(plan.fabricNamespace);
      const probe = await startProbe(plan.clientNamespace);
      const pair = await PeerPair.start(plan, await specOf(plan, guest));
      libvirt = /daemon: (\S+)/.exec(pair.version)?.[1] ?? pair.version;
      try {
        const subjects: Readonly<Record<'godwit' | 'libvirt', Subject>> = {
          godwit: { address: guest.address, move: () => moveByGodwit(cloud, guest.id) },
          libvirt: { address: pair.address, move: (system, tls) => pair.move({ limitMs: system === 'virsh, limit 30' ? 30 : null, tls }) },
        };
        for (const { address } of Object.values(subjects)) await answering(probe, address);
        for (const { address } of Object.values(subjects)) {
          await probe.control(address, idleHeartbeat);
          await probe.control(address, 'disk 20');
        }
        const startedAtMs = performance.now();
        const halfMs = startedAtMs + (endAtMs - startedAtMs) / 2;
        for (const [index, tls] of shuffled([true, false]).entries()) {
          await setTls(plan, cloud, tls);
          const untilMs = index === 0 ? halfMs : endAtMs;
          while (performance.now() < untilMs)
            for (const { system, rateMBs } of shuffled(peerCells)) {
              if (performance.now() >= untilMs) break;
              const subject = subjects[system === 'godwit' ? 'godwit' : 'libvirt'];
              const move = await measured({ plan, probe, witness, subject, system, tls, rateMBs });
              moves.push(move);
              console.log(`${moves.length}: ${JSON.stringify(move)}`);
            }
        }
        await nothingLost(probe, witness, subjects);
      } finally {
        await pair.close();
        await probe.stop();
        if (witness.isWatching) await witness.stop().catch(() => {});
      }
    });
  } catch (error) {
    broken = (error as Error).message;
    console.error(broken);
    process.exitCode = 1;
  }
  const window: PeerWindow = { libvirt, moves, ...(broken !== undefined && { void: broken }) };
  printPeer([...before, window]);
  return window;
}

async function measured(of: {
  readonly plan: LabPlan;
  readonly probe: ClientProbe;
  readonly witness: Witness;
  readonly subject: Subject;
  readonly system: PeerSystem;
  readonly tls: boolean;
  readonly rateMBs: number;
}): Promise<PeerMove> {
  const { plan, probe, witness, subject, system, tls, rateMBs } = of;
  const { address } = subject;
  // Only the guest that is moved is asked and speaks all the time.
  await probe.control(address, 'heartbeat 1000');
  await probe.control(address, `memory ${rateMBs} ${rateMBs === 0 ? 0 : workingSetMib}`);
  await probe.watch(address);
  await delay(rateMBs === 0 ? settleAtRestMs : settleMs);
  await probe.reset();
  witness.resetGaps();
  const foreign = await measureForeignLoad(plan);
  const before = await probe.status(address);
  const times = await subject.move(system, tls);
  await delay(afterglowMs);
  const after = await probe.status(address);
  const client = (await probe.report()).find((one) => one.address === address);
  const seen = witness.guests.find((one) => one.nonces.includes(before.nonce));
  const foreignCores = await foreign();
  await probe.unwatch(address);
  await probe.control(address, 'memory 0 0');
  await probe.control(address, idleHeartbeat);
  const written = ((after.memory.pagesWritten - before.memory.pagesWritten) * 4096) / 1e6;
  return {
    system,
    tls,
    rateMBs,
    achievedMBs: written / ((after.clockUs - before.clockUs) / 1e6),
    ...times,
    clientGapMs: seen?.largestGapMs ?? null,
    tcpStallMs: client?.tcp.longestSilenceMs ?? Number.NaN,
    tcpResets: client?.tcp.resets ?? 0,
    foreignCores,
  };
}

/** Both systems' copies of memory are encrypted, or neither's. Libvirt is told so move by move. */
async function setTls(plan: LabPlan, cloud: OpenStackClient, tls: boolean): Promise<void> {
  for (const host of plan.hosts) {
    const file = path.join(plan.dir, host.name, 'agent.json');
    await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), memoryStreamTls: tls }));
    await askSupervisor(plan.dir, { op: 'restart', process: `agent-${host.name}` });
  }
  await waitFor(
    'the hosts do not come back',
    async () => {
      const { services } = await cloud.request<{ readonly services: readonly { readonly host: string; readonly state: string }[] }>(
        'compute',
        'GET',
        '/os-services?binary=nova-compute',
      );
      return plan.hosts.every(({ name }) => services.some((service) => service.host === name && service.state === 'up'));
    },
    30_000,
  );
}

/** The specification that Godwit's own guest runs by, where its host keeps it. */
async function specOf(plan: LabPlan, guest: DemoServer): Promise<SpecLike> {
  return JSON.parse(await readFile(path.join(plan.dir, guest.host, 'guests', guest.id, 'spec.json'), 'utf8')) as SpecLike;
}

async function answering(probe: ClientProbe, address: string): Promise<void> {
  await waitFor(
    `the guest ${address} does not answer`,
    async () =>
      probe.status(address).then(
        () => true,
        () => false,
      ),
    60_000,
    200,
  );
}

/** Throws when a copy too many was seen, or a page or an acknowledged write was lost: figures of broken moves are worth nothing. */
async function nothingLost(probe: ClientProbe, witness: Witness, subjects: Readonly<Record<string, Subject>>): Promise<void> {
  const problems = witness.violations.map(describeViolation);
  for (const [name, { address }] of Object.entries(subjects)) {
    const verdict = await probe.verifyDisk(address);
    const { memory } = await probe.status(address);
    if (!verdict.ok) problems.push(`${name}: ${verdict.problem}`);
    if (memory.pagesCorrupt > 0) problems.push(`${name}: ${memory.pagesCorrupt} corrupt pages`);
  }
  await witness.stop();
  if (problems.length > 0) throw new Error(problems.join('; '));
}
