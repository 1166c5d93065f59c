import { setTimeout as delay } from 'node:timers/promises';
import type { MemoryStream } from '@godwit/domain/memory-stream';
import { startProbe } from '@godwit/lab/client/probe';
import { startWitness } from '@godwit/lab/client/witness';
import { describeViolation } from '@godwit/lab/client/witness-judge';
import { type Credentials, type OpenStackClient, signIn } from '@godwit/lab/cloud/openstack-client';
import { ensureGuest, startMove } from '@godwit/lab/demo/demo-cloud';
import type { LabPlan } from '@godwit/lab/lab-plan';
import { waitFor } from '@godwit/lab/wait-for';
import { measureForeignLoad } from './foreign-load.ts';
import { endedRecord, type MigrationRecord, timeOf } from './migration-record.ts';

/** One live migration through the public API, in milliseconds on one machine's clock; null where it was not measured. */
export type MeasuredMove = {
  readonly rateMBs: number;
  readonly achievedMBs: number;
  readonly status: string;
  /** POST accepted (record's creation) → QEMU has accepted `migrate`. */
  readonly acceptToMigrateMs: number | null;
  readonly migrateToStopMs: number | null;
  readonly stopToResumeMs: number | null;
  readonly resumeToCompletedMs: number | null;
  readonly ownShareMs: number | null;
  /** Its three parts: source QEMU's `completed` → release sent → heard by the destination's agent → its guest's RESUME. */
  readonly completedToSentMs: number | null;
  readonly sentToHeardMs: number | null;
  readonly heardToResumeMs: number | null;
  readonly qemuDowntimeMs: number | null;
  readonly qemuTotalMs: number | null;
  readonly clockErrorMs: number | null;
  readonly clientGapMs: number | null;
  /** Of that gap, what the guest's own clock counted: it ran by then, and had not got round to the heartbeat. */
  readonly pickUpMs: number | null;
  readonly tcpStallMs: number | null;
  readonly tcpResets: number;
  readonly rounds: number | null;
  /** What memory took on the wire; absent from older results. */
  readonly wireBytes?: number | null;
  /** What others used of the machine meanwhile, in cores: above a few tenths the figures tell more about them. */
  readonly foreignCores: number;
};

const flavor = 'demo.small';
const workingSetMib = 128;
/** The working set is written once, and the rate settles. */
const settleMs = 1_500;
/** How long the client looks on after a move, so that a stall at its end is seen in full. */
const afterglowMs = 500;

/** A guest (256 MiB) with everything that looks at it from outside. */
export type MeasuredGuest = {
  /** It writes at this rate over its working set of 128 MiB from when this resolves. */
  readonly writeAt: (rateMBs: number) => Promise<void>;
  /** One move of it, at the rate that it writes at, by the default policy or as asked (a cap of 0: none). Throws when it did not complete. */
  readonly move: (asked?: { readonly memoryStream: MemoryStream; readonly capMBs: number }) => Promise<MeasuredMove>;
  /** Throws when a copy too many was seen, or a page or an acknowledged write was lost: figures of broken moves are worth nothing. */
  readonly nothingLost: () => Promise<void>;
};

export async function withMeasuredGuest<Result>(
  lab: { readonly plan: LabPlan; readonly admin: Credentials },
  use: (guest: MeasuredGuest) => Promise<Result>,
): Promise<Result> {
  const { plan, admin } = lab;
  const cloud = await signIn(admin);
  const guest = await ensureGuest(cloud, 'bench', flavor);
  const witness = await startWitness(plan.fabricNamespace);
  const probe = await startProbe(plan.clientNamespace);
  let rateMBs = 0;
  const writeAt = async (rate: number): Promise<void> => {
    rateMBs = rate;
    await probe.control(guest.address, `memory ${rate} ${rate === 0 ? 0 : workingSetMib}`);
    await delay(settleMs);
  };
  const move: MeasuredGuest['move'] = async (asked) => {
    await probe.reset();
    witness.resetGaps();
    const foreign = await measureForeignLoad(plan);
    const before = await probe.status(guest.address);
    const id = asked === undefined ? await startMove(cloud, guest.id) : await startMoveAsked(cloud, guest.id, asked);
    const record = await endedRecord(cloud, id);
    await delay(afterglowMs);
    const after = await probe.status(guest.address);
    const foreignCores = await foreign();
    const client = (await probe.report()).find((one) => one.address === guest.address);
    const seen = witness.guests.find((one) => one.nonces.includes(before.nonce));
    const written = ((after.memory.pagesWritten - before.memory.pagesWritten) * 4096) / 1e6;
    if (record.status !== 'completed') throw new Error(`migration ${id} ended ${record.status}: ${record.outcome?.sentence ?? ''}`);
    return {
      ...partsOf(record),
      rateMBs,
      achievedMBs: written / ((after.clockUs - before.clockUs) / 1e6),
      clientGapMs: seen?.largestGapMs ?? null,
      pickUpMs: client?.heartbeat.largestGapGuestMs ?? null,
      tcpStallMs: client?.tcp.longestSilenceMs ?? null,
      tcpResets: client?.tcp.resets ?? 0,
      foreignCores,
    };
  };
  const nothingLost = async (): Promise<void> => {
    const verdict = await probe.verifyDisk(guest.address);
    const { memory } = await probe.status(guest.address);
    const problems = [
      ...witness.violations.map(describeViolation),
      ...(verdict.ok ? [] : [verdict.problem]),
      ...(memory.pagesCorrupt > 0 ? [`${memory.pagesCorrupt} corrupt pages`] : []),
    ];
    if (problems.length > 0) throw new Error(problems.join('; '));
    await witness.stop();
  };
  try {
    await waitFor(
      'the guest does not answer',
      async () =>
        probe.status(guest.address).then(
          () => true,
          () => false,
        ),
      60_000,
      200,
    );
    await probe.control(guest.address, 'heartbeat 1000');
    await probe.control(guest.address, 'disk 20');
    await probe.watch(guest.address);
    return await use({ writeAt, move, nothingLost });
  } finally {
    await probe.stop();
    if (witness.isWatching) await witness.stop().catch(() => {});
  }
}

async function startMoveAsked(
  cloud: OpenStackClient,
  serverId: string,
  { memoryStream, capMBs }: { readonly memoryStream: MemoryStream; readonly capMBs: number },
): Promise<string> {
  const { migration } = await cloud.request<{ readonly migration: { readonly id: string } }>(
    'godwit',
    'POST',
    `/servers/${serverId}/live-migrations`,
    { body: { policy: { memoryStream }, maxBandwidthBytes: capMBs === 0 ? null : capMBs * 1e6 } },
  );
  return migration.id;
}

function partsOf(record: MigrationRecord) {
  const at = (clock: 'source' | 'destination', what: string): number | null => timeOf(record, clock, what);
  const between = (from: number | null, to: number | null): number | null => (from === null || to === null ? null : to - from);
  const created = Date.parse(record.createdAt);
  const migrate = at('source', 'copying');
  const stop = at('source', 'STOP');
  const resume = at('destination', 'RESUME');
  const { measures } = record;
  const completed = at('source', 'QEMU completed');
  const sent = at('source', 'release sent');
  const heard = at('destination', 'release heard');
  return {
    status: record.status,
    acceptToMigrateMs: between(created, migrate),
    migrateToStopMs: between(migrate, stop),
    stopToResumeMs: measures['blackoutMs'] ?? null,
    resumeToCompletedMs: between(resume, record.finishedAt === null ? null : Date.parse(record.finishedAt)),
    ownShareMs: measures['ownShareMs'] ?? null,
    completedToSentMs: between(completed, sent),
    sentToHeardMs: between(sent, heard),
    heardToResumeMs: between(heard, resume),
    qemuDowntimeMs: measures['qemuDowntimeMs'] ?? null,
    qemuTotalMs: measures['qemuTotalMs'] ?? null,
    clockErrorMs: measures['clockErrorMs'] ?? null,
    rounds: measures['rounds'] ?? null,
    wireBytes: record.memory.processedBytes,
  };
}
