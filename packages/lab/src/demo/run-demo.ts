import { readFile } from 'node:fs/promises';
import { type ClientProbe, startProbe } from '../client/probe.ts';
import type { ClientReport } from '../client/probe-protocol.ts';
import { startWitness, type Witness } from '../client/witness.ts';
import { describeViolation } from '../client/witness-judge.ts';
import { type Credentials, type OpenStackClient, signIn } from '../cloud/openstack-client.ts';
import type { LabPlan } from '../lab-plan.ts';
import { namespaceProcesses } from '../network/namespace-processes.ts';
import { waitFor } from '../wait-for.ts';
import { type DemoServer, ensureGuest, type MoveRecord, moveRecord, qemuVersion, showServer, startMove } from './demo-cloud.ts';
import { type DemoMove, type DemoReport, demoProblems } from './demo-report.ts';

/** What the guest that is moved does meanwhile: 50 MB/s over 64 MiB is a busy small server. */
const memoryRateMBs = 50;
const workingSetMib = 64;
const diskRecordsPerSecond = 20;
/** The guest that is moved with its disk writes to that disk. */
const localRecordsPerSecond = 100;
const heartbeatHz = 1000;
/** How long the client looks on after a move, so that a stall at its very end is seen in full. */
const afterglowMs = 500;

export interface DemoOptions {
  readonly plan: LabPlan;
  readonly admin: Credentials;
  readonly moves: number;
  readonly note: (line: string) => void;
  /** Called often while a move goes on. */
  readonly onProgress: (index: number, record: MoveRecord) => void;
}

export interface DemoResult {
  readonly report: DemoReport;
  readonly guests: readonly DemoServer[];
}

/**
 * Boots three guests, moves the first one again and again while it writes memory and disk and clients hold connections to it, and then the third with its local disk. Resolves
 * also when a move failed: the report says so. Throws only when the demo itself could not go on.
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { plan, admin, note } = options;
  const cloud = await signIn(admin);
  const [moving, resting, local] = await Promise.all([
    ensureGuest(cloud, 'demo-1', 'demo.small'),
    ensureGuest(cloud, 'demo-2', 'demo.tiny'),
    ensureGuest(cloud, 'demo-3', 'demo.local'),
  ]);
  note(
    `guests: demo-1 on ${moving.host} at ${moving.address}, demo-2 on ${resting.host} at ${resting.address}, demo-3 with a local disk on ${local.host} at ${local.address}`,
  );
  const witness = await startWitness(plan.fabricNamespace);
  const probe = await startProbe(plan.clientNamespace).catch(async (error: unknown) => {
    await witness.stop().catch(() => {});
    throw error;
  });
  try {
    for (const guest of [moving, resting, local]) await settle(probe, guest.address, guest.name);
    await probe.control(moving.address, `heartbeat ${heartbeatHz}`);
    await probe.control(moving.address, `memory ${memoryRateMBs} ${workingSetMib}`);
    await probe.control(moving.address, `disk ${diskRecordsPerSecond}`);
    await probe.watch(moving.address);
    await echoes(probe, moving.address);
    note(
      `client: 2 TCP connections and a ${heartbeatHz} Hz heartbeat; demo-1 writes ${memoryRateMBs} MB/s of memory and ${diskRecordsPerSecond} synced records/s`,
    );
    note(
      `instrument: without any move, the largest gap of a second is ${(await instrumentFloorMs(witness, moving.address, probe)).toFixed(1)} ms on this machine now`,
    );
    const moves: DemoMove[] = [];
    for (let index = 0; index < options.moves; index++)
      moves.push(await oneMove(cloud, moving, 'auto', probe, witness, (record) => options.onProgress(index, record)));
    for (const quiet of ['memory 0 0', 'disk 0', 'heartbeat 10']) await probe.control(moving.address, quiet);
    note('block migration: the disk of demo-3 is on its host alone, and is copied while demo-3 writes to it');
    await probe.control(local.address, `heartbeat ${heartbeatHz}`);
    await probe.control(local.address, `disk ${localRecordsPerSecond}`);
    await probe.watch(local.address);
    await echoes(probe, local.address);
    const block = await oneMove(cloud, local, true, probe, witness, (record) => options.onProgress(options.moves, record));
    const problems = [
      ...demoProblems([...moves, block], options.moves + 1),
      ...(block.diskBytes === 0 ? ['no disk was copied with demo-3'] : []),
      ...(await guestProblems(probe, moving.address)),
      ...(await guestProblems(probe, local.address)),
      ...witness.violations.map(describeViolation),
    ];
    for (const quiet of ['disk 0', 'heartbeat 10']) await probe.control(local.address, quiet);
    await witness.stop();
    const guests = await Promise.all([moving, resting, local].map(({ id }) => showServer(cloud, id)));
    return {
      report: {
        ok: problems.length === 0,
        accel: await acceleratorOf(plan),
        qemu: await qemuVersion(cloud),
        migrations: moves,
        blockMigration: block,
        problems,
      },
      guests,
    };
  } finally {
    await probe.stop();
    // Already ended above unless something threw, which is then the error to see.
    if (witness.isWatching) await witness.stop().catch(() => {});
  }
}

/** ACTIVE means that QEMU runs; the demo needs the guest inside. */
async function settle(probe: ClientProbe, address: string, name: string): Promise<void> {
  await waitFor(
    `${name} (${address}) runs, but its services do not answer the client`,
    () =>
      probe.status(address).then(
        () => true,
        () => false,
      ),
    60_000,
    200,
  );
}

async function echoes(probe: ClientProbe, address: string): Promise<void> {
  await waitFor(`${address} does not echo`, async () => (tcpOf(await probe.report(), address)?.tcp.echoes ?? 0) > 50, 20_000);
}

/** What this machine, busy as it is now, shows when nothing moves: no figure below can be better than this. */
async function instrumentFloorMs(witness: Witness, address: string, probe: ClientProbe): Promise<number> {
  const { nonce } = await probe.status(address);
  witness.resetGaps();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return witness.guests.find((guest) => guest.nonces.includes(nonce))?.largestGapMs ?? 0;
}

const tcpOf = (reports: readonly ClientReport[], address: string): ClientReport | undefined =>
  reports.find((one) => one.address === address);

async function oneMove(
  cloud: OpenStackClient,
  { id: serverId, address }: DemoServer,
  block: boolean | 'auto',
  probe: ClientProbe,
  witness: Witness,
  onProgress: (record: MoveRecord) => void,
): Promise<DemoMove> {
  const nonce = (await probe.status(address)).nonce;
  await probe.reset();
  witness.resetGaps();
  const id = await startMove(cloud, serverId, block);
  let record = await moveRecord(cloud, id);
  await waitFor(
    `the migration ${id} did not end`,
    async () => {
      record = await moveRecord(cloud, id);
      onProgress(record);
      return record.finishedAtMs !== null;
    },
    120_000,
    100,
  );
  await new Promise((resolve) => setTimeout(resolve, afterglowMs));
  const tcp = tcpOf(await probe.report(), address)?.tcp;
  const seen = witness.guests.find((guest) => guest.nonces.includes(nonce));
  const { measures } = record;
  return {
    id,
    source: record.source,
    destination: record.destination,
    status: record.status,
    reason: record.status === 'completed' ? null : record.sentence,
    blackoutMs: measures.blackoutMs ?? null,
    clockErrorMs: measures.clockErrorMs ?? null,
    qemuDowntimeMs: measures.qemuDowntimeMs ?? null,
    ownShareMs: measures.ownShareMs ?? null,
    clientGapMs: seen?.largestGapMs ?? 0,
    tcpMaxStallMs: tcp?.longestSilenceMs ?? 0,
    tcpReset: (tcp?.resets ?? 1) > 0,
    acceptToCompletedMs: (record.finishedAtMs ?? record.createdAtMs) - record.createdAtMs,
    qemuTotalMs: measures.qemuTotalMs ?? null,
    ramBytes: record.ramBytes,
    diskBytes: record.diskBytes,
    rounds: measures.rounds ?? null,
  };
}

/** What the guest itself found: pages that came over wrong, records that were acknowledged and are gone. */
async function guestProblems(probe: ClientProbe, address: string): Promise<readonly string[]> {
  const problems: string[] = [];
  const { memory, disk } = await probe.status(address);
  if (memory.pagesCorrupt > 0) problems.push(`${memory.pagesCorrupt} memory pages came over wrong`);
  if (disk.errors > 0) problems.push(`${disk.errors} disk writes failed`);
  const verdict = await probe.verifyDisk(address);
  if (!verdict.ok) problems.push(`the disk: ${verdict.problem}`);
  return problems;
}

/** What the guests really run under: read from the running QEMUs, not from anyone's report. */
async function acceleratorOf(plan: LabPlan): Promise<string> {
  for (const host of plan.hosts) {
    for (const pid of await namespaceProcesses(host.namespace)) {
      const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
      const found = words[0]?.includes('qemu-system') === true ? /\b(tcg|kvm)\b/.exec(words.join(' ')) : null;
      if (found !== null) return found[0];
    }
  }
  return 'unknown';
}
