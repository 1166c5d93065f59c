import { as, type HostId } from '@godwit/domain/ids';
import { type AgentFailure, agentFailure } from '../../agents/agent-error.ts';
import { advance, type Move } from '../live-migrate/move.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { unclaimMove } from '../scheduling/claim.ts';
import { writeServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { begin, close } from './events.ts';
import { type ColdPolicy, endUnchanged, excludedHosts } from './scheduling.ts';

const EVENT = 'compute_prep_resize';
const CALL_MS = 5_000;
const ATTEMPTS = 4;
const RETRY_MS = 500;
const HOSTS_TRIED = 3;

/**
 * preparing → stopping. The destination is asked whether it is there, while nothing has been touched yet. One that does not answer is not asked again: another is chosen, unless
 * the request named it. Undo: none, it only looks.
 */
export async function prepare(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const destination = as<HostId>(move.destination_host_id ?? '');
  const failure = await silence(context, run, destination);
  await context.db.transaction().execute(async (tx) => {
    if (failure === null) {
      await writeServer(tx, run, move.serverId, { task_state: 'resize_migrating' });
      await advance(tx, run, move, 'stopping', 'migrating');
      await close(tx, actionId, EVENT);
      await begin(tx, actionId, 'compute_resize_instance', move.source);
      return;
    }
    const excluded = [...excludedHosts(move), { id: destination, reason: `it did not answer: ${failure.message}` }];
    if (move.requested_host !== null || excluded.length >= HOSTS_TRIED) {
      await endUnchanged(tx, context, run, move, actionId, EVENT, {
        cause: 'DestinationDown',
        sentence: 'The destination did not answer while it was to be prepared.',
        details: `${failure.code}: ${failure.message}`,
      });
      return;
    }
    // The server's row is locked first: the order in which everybody locks them.
    await writeServer(tx, run, move.serverId, {});
    await unclaimMove(tx, move, destination);
    const policy: ColdPolicy = { ...(move.policy as ColdPolicy), excludedHosts: excluded };
    await advance(tx, run, move, 'scheduling', 'pre-migrating', { destination_host_id: null, policy: JSON.stringify(policy) });
    await close(tx, actionId, EVENT, failure.message);
  });
}

/** Null when the host answers, at once or a moment later: an agent that is restarting is back within a second. */
async function silence(context: WorkflowContext, run: WorkflowRun, hostId: HostId): Promise<AgentFailure | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      const client = await context.agents.client(hostId);
      await client.getHost({}, { timeoutMs: CALL_MS, signal: run.signal });
      return null;
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (attempt >= ATTEMPTS) return failure;
      await run.pause(RETRY_MS);
    }
  }
}
