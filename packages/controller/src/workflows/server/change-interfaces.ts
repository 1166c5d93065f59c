import { as, type ServerId } from '@godwit/domain/ids';
import { agentFailure } from '../../agents/agent-error.ts';
import { releasePorts } from '../../networks/allocate-ports.ts';
import type { InterfaceInput } from '../accept/change-interfaces.ts';
import { readCustody, takeCharge } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { readServer, writeServer } from './server-record.ts';
import { wireGuest } from './wire-guest.ts';

/** An agent gives a guest 20 s to give a card up, and takes some for the rest. */
const RPC_TIMEOUT_MS = 60_000;
const PATIENCE_MS = 60_000;
const RETRY_MS = 500;

type Outcome =
  | { readonly kind: 'done' }
  /** The guest has the interfaces that it had. */
  | { readonly kind: 'failed'; readonly why: string }
  /** Nobody knows: the host does not answer. */
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * Lets the guest have the interfaces that its rows name (attach), or all but one (detach): networking → null. A server that runs nowhere has its rows alone. Ends with the port attached, or gone, or
 * everything as it was and the action in error. When the host does not answer for a minute the port stays the server's, whichever was asked for: what its guest has is looked at by the next change, and by a move, which is refused while
 * guest and rows differ.
 */
export async function changeInterfaces(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const { operation, portId, actionId } = run.input as unknown as InterfaceInput;
  if (!(await takeCharge(db, serverId, run.fence, ['networking']))) return;
  const { host_id } = await readServer(db, serverId);
  const event = `compute_${operation}_interface`;
  await beginEvent(db, actionId, event, host_id);
  const outcome = await atTheHost(context, run, serverId, operation === 'detach' ? portId : null);
  await db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, { task_state: null });
    if ((operation === 'detach' && outcome.kind === 'done') || (operation === 'attach' && outcome.kind === 'failed'))
      await releasePorts(tx, serverId, portId);
    else if (operation === 'attach' && outcome.kind === 'done')
      await tx.updateTable('port').set({ host_id, status: 'ACTIVE', updated_at: new Date() }).where('id', '=', portId).execute();
    await finishEvent(tx, actionId, event, outcome.kind === 'done' ? { ok: true } : { ok: false, details: outcome.why });
  });
}

async function atTheHost(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, without: string | null): Promise<Outcome> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    checkpoint(run);
    const { holder } = await readCustody(context.db, serverId);
    if (holder.kind === 'nowhere') return { kind: 'done' };
    try {
      const client = await context.agents.client(holder.hostId);
      const guest = await wireGuest(context.db, serverId);
      guest.nics = guest.nics.filter((nic) => nic.portId !== without);
      await client.changeNics(
        { custody: wireCustody(serverId, holder.epoch, run.fence), guest, requestId: run.id },
        { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
      );
      await context.faultPoint('nics:answered');
      return { kind: 'done' };
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind === 'unreachable' && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await noteRefusal(context, run, serverId, holder.hostId, failure);
      return { kind: failure.kind === 'unreachable' ? 'unknown' : 'failed', why: failure.message };
    }
  }
}
