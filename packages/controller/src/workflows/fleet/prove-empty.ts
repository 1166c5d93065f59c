import { GuestState } from '@godwit/contract/gen/guest_pb';
import { as, type HostId } from '@godwit/domain/ids';
import { agentFailure } from '../../agents/agent-error.ts';
import type { EmptyProof } from '../../store/fleet-tables.ts';
import type { WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';

const CALL_MS = 10_000;

/** Looks whether a host holds anything: servers, claims in the ledger, and the guests that its agent itself reports as alive. A dead host's agent is not asked. */
export async function proveEmpty(
  context: WorkflowContext,
  run: WorkflowRun,
  hostId: string,
  asksAgent: boolean,
): Promise<EmptyProof & { readonly empty: boolean }> {
  const { db } = context;
  const [servers, claims] = [
    await db
      .selectFrom('server')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('host_id', '=', hostId)
      .where('deleted_at', 'is', null)
      .executeTakeFirstOrThrow(),
    await db
      .selectFrom('allocation')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('host_id', '=', hostId)
      .executeTakeFirstOrThrow(),
  ];
  const guests = asksAgent ? await aliveGuests(context, run, as<HostId>(hostId)) : null;
  const [serverCount, claimCount] = [Number(servers.count), Number(claims.count)];
  const nothing = serverCount === 0 && claimCount === 0;
  const empty = nothing && (!asksAgent || guests === 0);
  const reported = guests === null ? '' : `, ${guests} ${guests === 1 ? 'guest' : 'guests'} reported by its agent`;
  return {
    at: new Date().toISOString(),
    servers: serverCount,
    claims: claimCount,
    guests,
    empty,
    sentence: empty
      ? asksAgent
        ? 'Nothing is on it: no server, no claim, and its agent reports no guest.'
        : 'No server and no claim is left on it; what it still has is stopped when it returns.'
      : nothing && guests === null
        ? 'No server and no claim is on it, but its agent does not answer: that its guests are gone is not proven.'
        : `Not empty: ${serverCount} ${serverCount === 1 ? 'server' : 'servers'}, ${claimCount} ${claimCount === 1 ? 'claim' : 'claims'}${reported}.`,
  };
}

/** Null: the agent does not answer. */
async function aliveGuests(context: WorkflowContext, run: WorkflowRun, host: HostId): Promise<number | null> {
  try {
    const client = await context.agents.client(host);
    const { guests } = await client.listGuests({}, { timeoutMs: CALL_MS, signal: run.signal });
    return guests.filter(({ state }) => state !== GuestState.SHUTOFF && state !== GuestState.CRASHED).length;
  } catch (error) {
    agentFailure(error);
    return null;
  }
}
