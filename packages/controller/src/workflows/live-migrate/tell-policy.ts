import type { Grant } from '@godwit/domain/custody/grant';
import { agentFailure } from '../../agents/agent-error.ts';
import type { AgentClient } from '../../agents/agents.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';
import { copyTerms, wirePolicy } from './wire-policy.ts';

const CALL_MS = 5_000;

/**
 * Tells the source what the move may cost from now on: forced to finish, or another bandwidth. Idempotent. True when the source has it; false when it could not be told: it is told
 * again, and a stream that has ended meanwhile needs it no more.
 */
export async function tellPolicy(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  client: AgentClient,
  grant: Grant,
): Promise<boolean> {
  try {
    await client.setMigrationPolicy(
      {
        custody: wireCustody(move.serverId, grant.previousEpoch, run.fence),
        migrationId: move.moveId,
        policy: wirePolicy(context, move, await copyTerms(context.db, move)),
      },
      { timeoutMs: CALL_MS, signal: run.signal },
    );
    return true;
  } catch (error) {
    checkpoint(run);
    const failure = agentFailure(error);
    context.log.warn(
      { migration: move.moveId, host: move.source, code: failure.code, detail: failure.message },
      'the source was not told what the migration may cost now',
    );
    return false;
  }
}
