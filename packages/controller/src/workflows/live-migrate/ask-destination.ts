import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import type { Grant } from '@godwit/domain/custody/grant';
import { as, type HostId } from '@godwit/domain/ids';
import type { MigrationCause } from '@godwit/domain/migration';
import { agentFailure } from '../../agents/agent-error.ts';
import { askBoot } from '../custody/ask-boot.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { grantOf } from '../custody/settle.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { measuresOf } from './measures.ts';
import { advance, type Move } from './move.ts';

const CALL_MS = 5_000;
/** The source sees a broken stream at once, the destination's agent the death behind it a moment later. */
const DEATH_MS = 1_000;
/** An agent that was killed is back within about a second. */
const RESTART_MS = 3_000;
const RETRY_MS = 250;

/**
 * Asks the destination whether it has taken, when the source cannot be asked any more: a take is proof of the release that nobody told us of. True when it has: the record then
 * is in `committing`. Anything else it says decides nothing.
 */
export async function hasTaken(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<boolean> {
  const destination = as<HostId>(move.destination_host_id ?? '');
  try {
    const client = await context.agents.client(destination);
    const report = await client.getMigration({ migrationId: move.moveId }, { timeoutMs: CALL_MS, signal: run.signal });
    if (report.state !== 'running' || report.taken === TakeAnswer.TOOK_DEAD) return false;
    return await context.db.transaction().execute(async (tx) => {
      const grant = grantOf(await readCustody(tx, move.serverId, true));
      if (grant === null || grant.migrationId !== move.moveId) return false;
      await stepCustody(tx, move.serverId, run.fence, [
        { kind: 'heard', from: destination, message: { kind: 'took', epoch: grant.epoch, alive: true } },
      ]);
      await advance(tx, run, move, 'committing', 'running', {
        outcome: null,
        measures: JSON.stringify({ ...move.measures, ...measuresOf(null, report) }),
      });
      return true;
    });
  } catch (error) {
    checkpoint(run);
    agentFailure(error);
    return false;
  }
}

/**
 * True when the destination says that it took the guest and that it is dead: the record then is in `committing`, which tells how it ended. Anything else, and silence for longer than an agent's
 * restart takes, decides nothing.
 */
export async function diedAfterTake(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<boolean> {
  for (const deadline = Date.now() + RESTART_MS; ; ) {
    try {
      const client = await context.agents.client(as<HostId>(move.destination_host_id ?? ''));
      const report = await client.getMigration({ migrationId: move.moveId }, { timeoutMs: CALL_MS, signal: run.signal });
      if (report.taken !== TakeAnswer.TOOK_DEAD) return false;
      await context.db.transaction().execute((tx) => advance(tx, run, move, 'committing', 'running', { outcome: null }));
      return true;
    } catch (error) {
      checkpoint(run);
      if (agentFailure(error).kind !== 'unreachable' || Date.now() > deadline) return false;
      await run.pause(RETRY_MS);
    }
  }
}

/**
 * Why the stream broke, as far as the destination tells: its QEMU was killed by a signal, its host has booted again, or nobody answers there any more. Null: it lives, or it ended
 * by itself because of what it read from the stream, which is no cause but a consequence.
 */
export async function brokenAtDestination(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  grant: Grant,
): Promise<{ readonly cause: MigrationCause; readonly sentence: string } | null> {
  try {
    if ((await askBoot(context, grant.destination, run.signal)) !== grant.bootId)
      return { cause: 'DestinationDown', sentence: 'The guest runs on at the source: the destination has rebooted.' };
    const client = await context.agents.client(grant.destination);
    const report = await client.awaitMigration(
      { migrationId: move.moveId, knownState: 'listening', waitMs: BigInt(DEATH_MS) },
      { timeoutMs: CALL_MS, signal: run.signal },
    );
    if (report.state !== 'died' || !/ended by SIG/.test(report.detail)) return null;
    return { cause: 'DestinationDied', sentence: `The guest runs on at the source: ${report.detail}` };
  } catch (error) {
    checkpoint(run);
    if (agentFailure(error).kind !== 'unreachable') return null;
    return {
      cause: 'DestinationDown',
      sentence: 'The guest runs on at the source: the stream broke, and the destination does not answer.',
    };
  }
}
