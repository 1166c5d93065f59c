import type { MeasureDirtyResponse } from '@godwit/contract/gen/agent_pb';
import { type ConvergencePolicy, defaultPolicy } from '@godwit/domain/convergence/policy';
import { as, type HostId } from '@godwit/domain/ids';
import type { MemoryStream } from '@godwit/domain/memory-stream';
import { type DirtyCurve, fitDirtyCurve } from '@godwit/domain/prediction/dirty-curve';
import { type Prediction, predict } from '@godwit/domain/prediction/predict';
import { agentFailure } from '../../agents/agent-error.ts';
import type { Agents } from '../../agents/agents.ts';
import type { Db } from '../../store/database.ts';
import { pastMoves } from './past-moves.ts';

export type PredictedMove = {
  readonly serverId: string;
  readonly ramMib: number;
  readonly source: HostId;
  /** Null: any host. */
  readonly destination: string | null;
  readonly policy: Partial<ConvergencePolicy>;
  /** Bytes per second; 0: none. */
  readonly capBytesPerSecond: number;
  readonly stream: MemoryStream;
  readonly paused: boolean;
};

/** A guest that was looked at within `maxAgeMs` is not looked at again; else a look may take so long. */
export type Look = { readonly maxAgeMs: number; readonly maxWaitMs: number };

/**
 * What is expected of a move that has not begun: the source tells how fast the guest changes its memory, past moves how fast the link is. Never fails a move: a source that does not answer,
 * or was never asked to measure, makes the prediction `unknown` with that reason.
 */
export async function predictMove(
  { db, agents }: { readonly db: Db; readonly agents: Agents },
  move: PredictedMove,
  look: Look,
  signal?: AbortSignal,
): Promise<Prediction> {
  const [past, measure] = await Promise.all([pastMoves(db), measureDirty(agents, move, look, signal)]);
  const ramBytes = move.ramMib * 2 ** 20;
  const firstPassBytes = measure === null ? ramBytes : Math.min(ramBytes, Number(measure.usedBytes));
  // A paused guest changes nothing.
  const still: DirtyCurve = { bytesPerSecond: 0, workingSetBytes: 0 };
  const dirty = move.paused
    ? still
    : measure &&
      fitDirtyCurve(
        measure.points.map(({ windowMs, bytes }) => ({ windowMs, bytes: Number(bytes) })),
        firstPassBytes,
      );
  return predict(
    {
      firstPassBytes,
      dirty,
      stream: move.stream,
      linkBytesPerSecond: past.linkBytesPerSecond(move.source, move.destination, move.stream),
      capBytesPerSecond: move.capBytesPerSecond,
      ...(move.stream === 'zstd' && { memoryPerWireByte: past.memoryPerWireByte(move.serverId) }),
      fixedMs: past.fixedMs,
    },
    { ...defaultPolicy, ...policyAlone(move.policy) },
    past.calibration,
  );
}

async function measureDirty(
  agents: Agents,
  { serverId, source }: PredictedMove,
  { maxAgeMs, maxWaitMs }: Look,
  signal?: AbortSignal,
): Promise<MeasureDirtyResponse | null> {
  try {
    const client = await agents.client(as<HostId>(source));
    const answer = await client.measureDirty(
      { serverId, maxAgeMs: BigInt(maxAgeMs), maxWaitMs: BigInt(maxWaitMs) },
      { timeoutMs: maxWaitMs + 2_000, ...(signal && { signal }) },
    );
    return answer.measured ? answer : null;
  } catch (error) {
    agentFailure(error);
    return null;
  }
}

const policyAlone = (policy: Partial<ConvergencePolicy>): Partial<ConvergencePolicy> =>
  Object.fromEntries(Object.entries(policy).filter(([field]) => field !== 'from'));
