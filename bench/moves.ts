import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startProbe } from '@godwit/lab/client/probe';
import { startWitness } from '@godwit/lab/client/witness';
import { describeViolation } from '@godwit/lab/client/witness-judge';
import { signIn } from '@godwit/lab/cloud/openstack-client';
import { ensureGuest, startMove } from '@godwit/lab/demo/demo-cloud';
import type { LabPlan } from '@godwit/lab/lab-plan';
import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import { waitFor } from '@godwit/lab/wait-for';
import { withLab } from './bench-lab.ts';
import { measureForeignLoad } from './foreign-load.ts';
import { type ResidentMemory, residentMemory } from './memory.ts';
import { endedRecord, type MigrationRecord, timeOf } from './migration-record.ts';
import { printed, summarise } from './quantiles.ts';
import { shuffled } from './shuffled.ts';

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
  /** What others used of the machine meanwhile, in cores: above a few tenths the figures tell more about them. */
  readonly foreignCores: number;
};

const flavor = 'demo.small';
const workingSetMib = 128;
/** Dirty rate of the moves that are made without the network switch, MB/s. */
const bareRateMBs = 50;
/** A run in which the guest wrote less than this share of its nominal rate says nothing about that rate. */
const leastShareOfRate = 0.8;
/** At most one in a hundred moves may stand still for longer. */
const longBlackoutMs = 100;
/** How long the client looks on after a move, so that a stall at its end is seen in full. */
const afterglowMs = 500;

/**
 * Moves one guest (256 MiB, 128 MiB working set) back and forth, the dirty rates in random order, and prints each part of a move apart. Throws when a move
 * did not complete, a copy too many was seen, or a page or an acknowledged write was lost: figures of broken moves are worth nothing.
 */
export async function benchMoves(options: { readonly perRate: number; readonly ratesMBs: readonly number[] }): Promise<{
  readonly memory: ResidentMemory;
  readonly moves: readonly MeasuredMove[];
  readonly withoutNetworkSwitch: readonly MeasuredMove[];
}> {
  return withLab(async ({ plan, admin }) => {
    const idle = await residentMemory(plan);
    console.log(
      `memory (PSS, idle): controller and database ${idle.controllerMib.toFixed(0)} MiB, agents ${idle.agentsMib.map((mib) => mib.toFixed(0)).join(', ')} MiB`,
    );
    const cloud = await signIn(admin);
    const guest = await ensureGuest(cloud, 'bench', flavor);
    const witness = await startWitness(plan.fabricNamespace);
    const probe = await startProbe(plan.clientNamespace);
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
      const moves: MeasuredMove[] = [];
      const order = shuffled(options.ratesMBs.flatMap((rate) => Array.from({ length: options.perRate }, () => rate)));
      const measure = async (what: string, rateMBs: number): Promise<MeasuredMove> => {
        await probe.control(guest.address, `memory ${rateMBs} ${rateMBs === 0 ? 0 : workingSetMib}`);
        await delay(1_500); // the working set is written once, and the rate settles
        await probe.reset();
        witness.resetGaps();
        const foreign = await measureForeignLoad(plan);
        const before = await probe.status(guest.address);
        const id = await startMove(cloud, guest.id);
        const record = await endedRecord(cloud, id);
        await delay(afterglowMs);
        const after = await probe.status(guest.address);
        const foreignCores = await foreign();
        const client = (await probe.report()).find((one) => one.address === guest.address);
        const seen = witness.guests.find((one) => one.nonces.includes(before.nonce));
        const written = ((after.memory.pagesWritten - before.memory.pagesWritten) * 4096) / 1e6;
        const move: MeasuredMove = {
          ...partsOf(record),
          rateMBs,
          achievedMBs: written / ((after.clockUs - before.clockUs) / 1e6),
          clientGapMs: seen?.largestGapMs ?? null,
          pickUpMs: client?.heartbeat.largestGapGuestMs ?? null,
          tcpStallMs: client?.tcp.longestSilenceMs ?? null,
          tcpResets: client?.tcp.resets ?? 0,
          foreignCores,
        };
        if (move.status !== 'completed') throw new Error(`migration ${id} ended ${move.status}: ${record.outcome?.sentence ?? ''}`);
        console.log(`${what} ${rateMBs} MB/s (achieved ${move.achievedMBs.toFixed(0)}): ${JSON.stringify(move)}`);
        return move;
      };
      for (const [index, rateMBs] of order.entries()) moves.push(await measure(`${index + 1}/${order.length}`, rateMBs));
      await withoutNetworkSwitch(plan);
      const bare: MeasuredMove[] = [];
      for (let index = 0; index < options.perRate; index++)
        bare.push(await measure(`without the network switch ${index + 1}`, bareRateMBs));
      const verdict = await probe.verifyDisk(guest.address);
      const { memory } = await probe.status(guest.address);
      const problems = [
        ...witness.violations.map(describeViolation),
        ...(verdict.ok ? [] : [verdict.problem]),
        ...(memory.pagesCorrupt > 0 ? [`${memory.pagesCorrupt} corrupt pages`] : []),
      ];
      if (problems.length > 0) throw new Error(problems.join('; '));
      await witness.stop();
      for (const rate of options.ratesMBs)
        printRate(
          rate,
          moves.filter((move) => move.rateMBs === rate),
        );
      console.log(
        `\nwithout the network switch, ${bareRateMBs} MB/s: longest TCP stall ${printed(summarise(bare.flatMap(({ tcpStallMs }) => tcpStallMs ?? [])))}`,
      );
      return { memory: idle, moves, withoutNetworkSwitch: bare };
    } finally {
      await probe.stop();
      if (witness.isWatching) await witness.stop().catch(() => {});
    }
  });
}

/** Starts the lab's controller again with the switch off, and waits until it serves. */
async function withoutNetworkSwitch(plan: LabPlan): Promise<void> {
  const file = path.join(plan.dir, 'controller.json');
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), networkSwitch: false }));
  await askSupervisor(plan.dir, { op: 'restart', process: 'controller' });
  const answers = async (): Promise<boolean> =>
    fetch(`${plan.publicUrl}/healthz`, { signal: AbortSignal.timeout(2000) }).then(
      (response) => response.ok,
      () => false,
    );
  await waitFor('the controller does not serve again', answers, 30_000, 100);
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
  };
}

function printRate(rateMBs: number, moves: readonly MeasuredMove[]): void {
  const valid = moves.filter((move) => move.achievedMBs >= rateMBs * leastShareOfRate);
  const column = (pick: (move: MeasuredMove) => number | null) => printed(summarise(valid.map(pick).filter((value) => value !== null)));
  console.log(
    `\n${rateMBs} MB/s: ${valid.length} of ${moves.length} runs count (the guest achieved its rate); median (range, p95, n) in ms`,
  );
  const rows: readonly (readonly [string, string])[] = [
    ['accept → migrate', column((move) => move.acceptToMigrateMs)],
    ['migrate → STOP', column((move) => move.migrateToStopMs)],
    ['STOP → RESUME (blackout)', column((move) => move.stopToResumeMs)],
    ['RESUME → API says completed', column((move) => move.resumeToCompletedMs)],
    [
      'first + last',
      column((move) =>
        move.acceptToMigrateMs === null || move.resumeToCompletedMs === null ? null : move.acceptToMigrateMs + move.resumeToCompletedMs,
      ),
    ],
    ['own share (completed → RESUME)', column((move) => move.ownShareMs)],
    ['  completed → release sent', column((move) => move.completedToSentMs)],
    ['  release sent → heard', column((move) => move.sentToHeardMs)],
    ['  release heard → RESUME', column((move) => move.heardToResumeMs)],
    [
      'blackout − QEMU downtime',
      column((move) => (move.stopToResumeMs === null || move.qemuDowntimeMs === null ? null : move.stopToResumeMs - move.qemuDowntimeMs)),
    ],
    ['outside gap (1 kHz heartbeat)', column((move) => move.clientGapMs)],
    ['  of it the guest ran for', column((move) => move.pickUpMs)],
    ['longest TCP stall', column((move) => move.tcpStallMs)],
    ['clock error', column((move) => move.clockErrorMs)],
    ['rounds', column((move) => move.rounds)],
    ['others used, in cores', column((move) => move.foreignCores)],
  ];
  for (const [what, value] of rows) console.log(`  ${what.padEnd(32)} ${value}`);
  const long = valid.filter((move) => (move.stopToResumeMs ?? 0) > longBlackoutMs).length;
  console.log(`  ${`blackouts above ${longBlackoutMs} ms`.padEnd(32)} ${long} of ${valid.length}`);
}
