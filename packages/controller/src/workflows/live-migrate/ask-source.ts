import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import { agentFailure } from '../../agents/agent-error.ts';
import { askBoot } from '../custody/ask-boot.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';

/** True when the source has booted again since it began to run the guest: no process of it can be left there. False also when the source does not answer: that proves nothing. */
export async function sourceRebooted(context: WorkflowContext, run: WorkflowRun, move: Move, row: CustodyRow): Promise<boolean> {
  if (row.holder.kind !== 'host' || row.holder.hostId !== move.source) return false;
  try {
    return (await askBoot(context, move.source, run.signal)) !== row.holder.bootId;
  } catch (error) {
    checkpoint(run);
    agentFailure(error);
    return false;
  }
}
