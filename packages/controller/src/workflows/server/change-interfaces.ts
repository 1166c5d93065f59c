import type { Guest } from '@godwit/contract/gen/guest_pb';
import { as, type ServerId } from '@godwit/domain/ids';
import { type AgentFailure, agentFailure } from '../../agents/agent-error.ts';
import { releasePorts } from '../../networks/allocate-ports.ts';
import type { InterfaceInput } from '../accept/change-interfaces.ts';
import { readCustody } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { beginTask } from './begin-task.ts';
import { guestToRun } from './guest-to-run.ts';
import { readServer, writeServer } from './server-record.ts';
import { wireGuest } from './wire-guest.ts';

/** An agent gives a guest 20 s to give a card up, and takes some for the rest. */
const RPC_TIMEOUT_MS = 60_000;
const UNDO_TIMEOUT_MS = 30_000;
const RETRY_MS = 500;

type Outcome =
  | { readonly kind: 'done' }
  /** The guest has the interfaces that it had. */
  | { readonly kind: 'failed'; readonly why: string }
  /** Nobody knows: the host does not answer, or it failed and could not give the guest what it had either. */
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * Lets the guest have the interfaces that its rows name (attach), or all but one (detach): networking → null. A server that runs nowhere has its rows alone. Ends with the port attached, or gone, or
 * everything as it was and the action in error. When nobody can tell what the guest has (its host does not answer for a minute) the port stays the server's, whichever was asked for: what its guest has is looked at by the next
 * change, and by a move, which is refused while guest and rows differ. A server that another task has meanwhile ends the action in error.
 */
export async function changeInterfaces(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const input = run.input as unknown as InterfaceInput;
  const { operation, portId, actionId } = input;
  const event = `compute_${operation}_interface`;
  const task = { taskState: 'networking', actionId, event, before: 'its interfaces were changed' } as const;
  if (!(await beginTask(db, run, serverId, task))) return;
  const { host_id } = await readServer(db, serverId);
  const outcome = await atTheHost(context, run, serverId, input);
  await db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, { task_state: null });
    if ((operation === 'detach' && outcome.kind === 'done') || (operation === 'attach' && outcome.kind === 'failed'))
      await releasePorts(tx, serverId, portId);
    else if (operation === 'attach' && outcome.kind === 'done')
      await tx.updateTable('port').set({ host_id, status: 'ACTIVE', updated_at: new Date() }).where('id', '=', portId).execute();
    await finishEvent(tx, actionId, event, outcome.kind === 'done' ? { ok: true } : { ok: false, details: toldOf(outcome, operation) });
  });
}

const toldOf = (outcome: Exclude<Outcome, { readonly kind: 'done' }>, operation: InterfaceInput['operation']): string => {
  if (outcome.kind === 'failed') return outcome.why;
  const unknown = "it is not known whether the guest has the interface: the port stays the server's";
  return `${outcome.why}; ${unknown}${operation === 'attach' ? '; detach it to give it up' : ''}`;
};

async function atTheHost(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  { operation, portId }: InterfaceInput,
): Promise<Outcome> {
  const deadline = Date.now() + context.interfacePatienceMs;
  for (;;) {
    checkpoint(run);
    const { holder } = await readCustody(context.db, serverId);
    if (holder.kind === 'nowhere') return { kind: 'done' };
    if (holder.kind === 'suspended')
      return { kind: 'failed', why: 'the guest is suspended: its saved memory knows the interfaces that it had' };
    const withPort = await wireGuest(context.db, serverId);
    const without = { ...withPort, nics: withPort.nics.filter((nic) => nic.portId !== portId) };
    const give = async (guest: Guest, timeoutMs: number): Promise<AgentFailure | null> => {
      try {
        const client = await context.agents.client(holder.hostId);
        const custody = wireCustody(serverId, holder.epoch, run.fence);
        const asked = await guestToRun(context.db, guest, holder.hostId);
        await client.changeNics({ custody, guest: asked, requestId: run.id }, { timeoutMs, signal: run.signal });
        return null;
      } catch (error) {
        checkpoint(run);
        return agentFailure(error);
      }
    };
    const failure = await give(operation === 'attach' ? withPort : without, RPC_TIMEOUT_MS);
    if (failure === null) {
      await context.faultPoint('nics:answered');
      return { kind: 'done' };
    }
    // In conflict with a call of an earlier run, most likely, which the agent carries out still: what comes of that one nobody knows either.
    const isOpen = failure.kind === 'unreachable' || failure.code === 'Conflict';
    if (isOpen && Date.now() < deadline) {
      await run.pause(RETRY_MS);
      continue;
    }
    await noteRefusal(context, run, serverId, holder.hostId, failure);
    if (isOpen) return { kind: 'unknown', why: failure.message };
    // An agent that knows no such call has done nothing. Another may have plugged the card and failed at the next one: the port is given up only when its guest is without it.
    if (operation === 'detach' || failure.code === 'NotImplemented') return { kind: 'failed', why: failure.message };
    const undone = await give(without, UNDO_TIMEOUT_MS);
    return undone === null
      ? { kind: 'failed', why: failure.message }
      : { kind: 'unknown', why: `${failure.message}; and it could not be undone: ${undone.message}` };
  }
}
