import { setTimeout as delay } from 'node:timers/promises';
import type { Prediction } from '@godwit/domain/prediction/predict';
import { type PredictionScore, type ScoreSummary, summarizeScores } from '@godwit/domain/prediction/score';
import { type ClientProbe, startProbe } from '@godwit/lab/client/probe';
import { type OpenStackClient, signIn } from '@godwit/lab/cloud/openstack-client';
import { ensureGuest } from '@godwit/lab/demo/demo-cloud';
import { waitFor } from '@godwit/lab/wait-for';
import { withLab } from './bench-lab.ts';
import { printed, summarise } from './quantiles.ts';
import { randomFrom } from './random-from.ts';

/** One move: what was said before it, and what became of it. */
export type PredictedMove = {
  readonly workload: Workload;
  readonly status: string;
  readonly cause: string | null;
  readonly verdict: string;
  readonly durationMs: number;
  readonly predictedDurationMs: Prediction['durationMs'];
  readonly blackoutMs: number | null;
  readonly predictedBlackoutMs: Prediction['blackoutMs'];
  readonly score: PredictionScore | null;
  readonly phaseDurationsMs: Readonly<Record<string, number>>;
  readonly inputs: Prediction['inputs'] | null;
  /** How far the guest's clock lost against the machine's over the move. */
  readonly clockLostMs: number;
  readonly measures: Readonly<Record<string, number | null>>;
};

type Workload = {
  readonly rateMBs: number;
  readonly setMib: number;
  readonly capMBs: number | null;
  readonly largestBlackoutMs: number;
};

type RawRecord = {
  readonly status: string;
  readonly outcome: { readonly cause: string | null } | null;
  readonly finishedAt: string | null;
  readonly measures: Readonly<Record<string, number | null>>;
  readonly phaseDurationsMs: Readonly<Record<string, number>>;
  readonly prediction: Prediction | null;
  readonly predictionScore: PredictionScore | null;
};

const flavor = 'demo.small';
/** Short, so that a move that does not converge says so soon. */
const deadlineMs = 20_000;
/** The guest writes at its new rate for this long before anybody looks. */
const settleMs = 2_500;

/**
 * Moves one guest under workloads drawn at random (a fixed seed: the same every time): writes of 0–350 MB/s over 4–140 MiB, links capped and not, blackouts of 100–1000 ms allowed. Each
 * prediction is stored before its move starts; moves that it calls hopeless are made all the same. The first `learning` moves teach the spread; the others are scored.
 */
export async function benchPrediction(options: { readonly learning: number; readonly scored: number; readonly seed: number }): Promise<{
  readonly summary: ScoreSummary;
  readonly moves: readonly PredictedMove[];
}> {
  return withLab(async ({ plan, admin }) => {
    const cloud = await signIn(admin);
    const guest = await ensureGuest(cloud, 'predicted', flavor);
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
      const random = randomFrom(options.seed);
      const moves: PredictedMove[] = [];
      for (let index = 0; index < options.learning + options.scored; index++) {
        const workload = drawWorkload(random);
        await probe.control(guest.address, `memory ${workload.rateMBs} ${workload.rateMBs === 0 ? 0 : workload.setMib}`);
        await delay(settleMs);
        const before = await clockAheadMs(probe, guest.address);
        const move = {
          ...(await predictedMove(cloud, guest.id, workload)),
          clockLostMs: before - (await clockAheadMs(probe, guest.address)),
        };
        moves.push(move);
        console.log(`${index < options.learning ? 'learning' : 'scored'} ${index + 1}: ${JSON.stringify(move)}`);
      }
      const scores = moves.slice(options.learning).flatMap(({ score }) => score ?? []);
      const summary = summarizeScores(scores);
      console.log(`prediction: ${JSON.stringify(summary)}`);
      const lost = moves.filter(({ status }) => status === 'completed');
      console.log(
        `guest's clock, lost per move: ${printed(summarise(lost.map(({ clockLostMs }) => clockLostMs)))} ms; less the blackout: ${printed(summarise(lost.map(({ clockLostMs, blackoutMs }) => clockLostMs - (blackoutMs ?? 0))))} ms`,
      );
      return { summary, moves };
    } finally {
      await probe.stop();
    }
  });
}

/** Not the rates and sets that the model was tuned with (0, 50, 200 MB/s over 128 MiB). */
function drawWorkload(random: () => number): Workload {
  const busy = random();
  return {
    rateMBs: busy < 0.15 ? 0 : Math.round(5 * 70 ** random()),
    setMib: Math.round(4 * 35 ** random()),
    capMBs: random() < 0.4 ? null : Math.round(30 * 8 ** random()),
    largestBlackoutMs: Math.round(100 * 10 ** random()),
  };
}

/** The guest's clock against this machine's, ms; the quickest of some answers, which took about a millisecond each way. */
async function clockAheadMs(probe: ClientProbe, address: string): Promise<number> {
  let best = { tookMs: Infinity, aheadMs: 0 };
  for (let turn = 0; turn < 5; turn += 1) {
    const sentAt = performance.now();
    const { clockUs } = await probe.status(address);
    const tookMs = performance.now() - sentAt;
    if (tookMs < best.tookMs) best = { tookMs, aheadMs: clockUs / 1_000 - (performance.timeOrigin + performance.now() - tookMs / 2) };
  }
  return best.aheadMs;
}

async function predictedMove(cloud: OpenStackClient, serverId: string, workload: Workload): Promise<Omit<PredictedMove, 'clockLostMs'>> {
  // As the dialog does: the source looks at the guest.
  await cloud.request('godwit', 'GET', `/servers/${serverId}/prediction`);
  const { migration } = await cloud.request<{ readonly migration: { readonly id: string } }>(
    'godwit',
    'POST',
    `/servers/${serverId}/live-migrations`,
    {
      body: {
        policy: { largestBlackoutMs: workload.largestBlackoutMs, deadlineMs },
        maxBandwidthBytes: workload.capMBs === null ? null : workload.capMBs * 1_000_000,
      },
    },
  );
  let record: RawRecord | null = null;
  await waitFor(
    `the migration ${migration.id} did not end`,
    async () => {
      record = (await cloud.request<{ readonly migration: RawRecord }>('godwit', 'GET', `/migrations/${migration.id}`)).migration;
      return record.finishedAt !== null;
    },
    120_000,
    200,
  );
  if (record === null) throw new Error('no record');
  const { status, outcome, measures, phaseDurationsMs, prediction, predictionScore } = record as RawRecord;
  return {
    workload,
    status,
    cause: outcome?.cause ?? null,
    verdict: prediction?.verdict ?? 'none',
    durationMs: ['preparing', 'copying', 'switchover', 'committing'].reduce((sum, phase) => sum + (phaseDurationsMs[phase] ?? 0), 0),
    predictedDurationMs: prediction?.durationMs ?? null,
    blackoutMs: measures['blackoutMs'] ?? null,
    predictedBlackoutMs: prediction?.blackoutMs ?? null,
    score: predictionScore,
    phaseDurationsMs,
    inputs: prediction?.inputs ?? null,
    measures,
  };
}
