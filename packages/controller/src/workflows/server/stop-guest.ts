import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import type { ServerId } from '@godwit/domain/ids';
import { type AgentFailure, agentFailure } from '../../agents/agent-error.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';

export type StopOutcome =
  /** Custody says that nothing runs. `report`: what its host showed at the end; null when it had ended before. */
  | { readonly kind: 'stopped'; readonly report: GuestReport | null }
  /** `unreachable`: whether it was stopped is unknown until its host is heard of again. */
  | { readonly kind: 'failed'; readonly failure: Pick<AgentFailure, 'kind' | 'code' | 'message'> };

/** How long a guest may take to shut itself down before it is powered off: the compute API's usual minute. */
const SHUTDOWN_TIMEOUT_MS = 60_000;
const RPC_TIMEOUT_MS = SHUTDOWN_TIMEOUT_MS + 30_000;
const RETRY_MS = 500;

/**
 * Lets the guest shut itself down where it runs, powers it off when it does not, and writes that it has ended: its epoch never runs again. Asks a host that does not answer
 * for `patienceMs` beyond what the guest is given: `shutdownMs`; 0: it is powered off at once. Can be repeated.
 */
export async function stopGuest(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  patienceMs: number,
  shutdownMs = SHUTDOWN_TIMEOUT_MS,
): Promise<StopOutcome> {
  const deadline = Date.now() + patienceMs + shutdownMs;
  for (;;) {
    checkpoint(run);
    const { holder } = await readCustody(context.db, serverId);
    if (holder.kind === 'nowhere') return { kind: 'stopped', report: null };
    if (holder.kind === 'suspended')
      return {
        kind: 'failed',
        failure: { kind: 'refused', code: 'CustodyRefused', message: 'the guest is suspended, and its memory is kept' },
      };
    const { hostId, epoch } = holder;
    try {
      const client = await context.agents.client(hostId);
      const report = await client.stopGuest(
        { custody: wireCustody(serverId, epoch, run.fence), timeoutMs: BigInt(shutdownMs), requestId: run.id },
        { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
      );
      await context.faultPoint('stop:answered');
      if (report.state !== GuestState.SHUTOFF && report.state !== GuestState.CRASHED)
        return {
          kind: 'failed',
          failure: { kind: 'failed', code: 'GuestNotStopped', message: `the guest is ${GuestState[report.state]}` },
        };
      await context.db
        .transaction()
        .execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'heard', from: hostId, message: { kind: 'ended', epoch } }]));
      return { kind: 'stopped', report };
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind !== 'unreachable' || Date.now() > deadline) return { kind: 'failed', failure };
      await run.pause(RETRY_MS);
    }
  }
}
