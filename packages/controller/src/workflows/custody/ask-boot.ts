import { Code, ConnectError } from '@connectrpc/connect';
import { as, type BootId, type HostId } from '@godwit/domain/ids';
import type { WorkflowContext } from '../workflow-context.ts';

const ASK_MS = 5_000;

/**
 * The boot that a host says it is in now: its word, not the row's, which has the boot before until the watcher has reached the host. Throws as an agent's call does when it does not answer, or
 * names none: any boot that is known of it would count as over then.
 */
export async function askBoot(context: Pick<WorkflowContext, 'agents'>, host: HostId, signal?: AbortSignal): Promise<BootId> {
  const client = await context.agents.client(host);
  const { bootId } = await client.getHost({ bootOnly: true }, { timeoutMs: ASK_MS, ...(signal && { signal }) });
  if (bootId === '') throw new ConnectError('the host does not say in which boot it is', Code.Internal, { 'godwit-code': 'Internal' });
  return as<BootId>(bootId);
}

/**
 * Whether the host has booted again since this boot of it, asked of the host itself: who read the boot out of a row before, and hears another one now, knows that it is over. A listing alone does not
 * say so: it may be of the boot before, and read late. Throws when the host does not answer.
 */
export const bootIsOver = async (context: Pick<WorkflowContext, 'agents'>, host: HostId, bootId: string): Promise<boolean> =>
  (await askBoot(context, host)) !== bootId;
