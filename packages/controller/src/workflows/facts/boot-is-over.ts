import type { HostId } from '@godwit/domain/ids';
import type { WorkflowContext } from '../workflow-context.ts';

const ASK_MS = 5_000;

/**
 * Whether the host has booted again since this boot of it, asked of the host itself: who read the boot out of a row before, and hears another one now, knows that it is over. A listing alone does not
 * say so: it may be of the boot before, and read late. Throws when the host does not answer.
 */
export async function bootIsOver(context: Pick<WorkflowContext, 'agents'>, host: HostId, bootId: string): Promise<boolean> {
  const client = await context.agents.client(host);
  const now = await client.getHost({ bootOnly: true }, { timeoutMs: ASK_MS });
  return now.bootId !== '' && now.bootId !== bootId;
}
