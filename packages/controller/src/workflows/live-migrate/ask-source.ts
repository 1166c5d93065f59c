import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import type { HostId } from '@godwit/domain/ids';
import { agentFailure } from '../../agents/agent-error.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';

const CALL_MS = 5_000;

/** True when the source has booted again since it began to run the guest. */
export const sourceRebooted = (context: WorkflowContext, run: WorkflowRun, move: Move, row: CustodyRow): Promise<boolean> =>
  hasRebooted(context, run, row, move.source);

/** True when this host holds the guest and has booted again since: no process of it can be left there. False also when the host does not answer: that proves nothing. */
export async function hasRebooted(context: WorkflowContext, run: WorkflowRun, row: CustodyRow, hostId: HostId): Promise<boolean> {
  if (row.holder.kind !== 'host' || row.holder.hostId !== hostId) return false;
  try {
    const client = await context.agents.client(hostId);
    const { bootId } = await client.getHost({}, { timeoutMs: CALL_MS, signal: run.signal });
    return bootId !== row.holder.bootId;
  } catch (error) {
    checkpoint(run);
    agentFailure(error);
    return false;
  }
}
