import type { GuestReport } from '@godwit/contract/gen/guest_pb';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { maxVcpusOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { agentFailure } from '../../agents/agent-error.ts';
import type { FlavorSnapshot } from '../../store/core-tables.ts';
import type { ScaleInput } from '../accept/scale.ts';
import { readCustody } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { beginTask } from './begin-task.ts';
import { readServer, writeServer } from './server-record.ts';
import { wireGuest } from './wire-guest.ts';
import { writeVcpus } from './write-vcpus.ts';

/** QEMU makes a vCPU in milliseconds; under TCG on a busy host in some hundreds. */
const RPC_TIMEOUT_MS = 60_000;
const LIST_TIMEOUT_MS = 10_000;
const RETRY_MS = 500;
const event = 'compute_scale_server';

type Outcome =
  | { readonly kind: 'done' }
  /** The guest has so many, and not what was asked for. */
  | { readonly kind: 'failed'; readonly vcpus: number; readonly why: string }
  /** Its host does not say. */
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * Lets the guest have the vCPUs that its row names: scaling → null. A server that runs nowhere has its row alone. Ends with guest, row and ledger at the number that was asked for; or row and ledger at what its guest
 * has, and the action in error. A host that does not answer for a minute leaves both at what was asked for, which its guest has at most: what it has is written when it is heard of (facts/note-facts.ts). A move is refused
 * while guest and row differ; a suspension gives the guest what the row says first.
 */
export async function scaleServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const { from, actionId } = run.input as unknown as ScaleInput;
  if (!(await beginTask(db, run, serverId, { taskState: 'scaling', actionId, event, before: 'it was scaled' }))) return;
  const outcome = await atTheHost(context, run, serverId, from);
  await db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, { task_state: null });
    if (outcome.kind === 'failed') await writeVcpus(tx, await readServer(tx, serverId), outcome.vcpus);
    await finishEvent(tx, actionId, event, outcome.kind === 'done' ? { ok: true } : { ok: false, details: toldOf(outcome) });
  });
}

const toldOf = (outcome: Exclude<Outcome, { readonly kind: 'done' }>): string =>
  outcome.kind === 'failed'
    ? `${outcome.why}; the guest has ${outcome.vcpus} vCPUs`
    : `${outcome.why}; it is not known how many vCPUs the guest has: what was asked for is kept for it until its host tells`;

async function atTheHost(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, from: number): Promise<Outcome> {
  const deadline = Date.now() + context.interfacePatienceMs;
  for (;;) {
    checkpoint(run);
    const { holder } = await readCustody(context.db, serverId);
    if (holder.kind === 'nowhere') return { kind: 'done' };
    if (holder.kind === 'suspended')
      return { kind: 'failed', vcpus: from, why: 'the guest is suspended: its saved memory knows the vCPUs that it had' };
    const guest = await wireGuest(context.db, serverId);
    try {
      const client = await context.agents.client(holder.hostId);
      const custody = wireCustody(serverId, holder.epoch, run.fence);
      await client.scaleGuest({ custody, guest, requestId: run.id }, { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal });
      await context.faultPoint('scale:answered');
      return { kind: 'done' };
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      // In conflict with a call of an earlier run, most likely, which the agent carries out still.
      const isOpen = failure.kind === 'unreachable' || failure.code === 'Conflict';
      if (isOpen && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await noteRefusal(context, run, serverId, holder.hostId, failure);
      if (isOpen) return { kind: 'unknown', why: failure.message };
      // An agent that knows no such call has done nothing.
      if (failure.code === 'NotImplemented') return { kind: 'failed', vcpus: from, why: failure.message };
      // Some may have been plugged before the one that could not be.
      const has = await vcpusAt(context, run, serverId, holder.hostId);
      return has === null ? { kind: 'unknown', why: failure.message } : { kind: 'failed', vcpus: has, why: failure.message };
    }
  }
}

/** How many vCPUs its host says that the guest has; null: it does not say. */
async function vcpusAt(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, hostId: HostId): Promise<number | null> {
  try {
    const client = await context.agents.client(hostId);
    const { guests } = await client.listGuests({}, { timeoutMs: LIST_TIMEOUT_MS, signal: run.signal });
    return guests.find((one) => one.serverId === serverId)?.vcpus || null;
  } catch (error) {
    checkpoint(run);
    agentFailure(error);
    return null;
  }
}

/** Whether a host says of a guest that it has another number of vCPUs than its row; one that does not tell, or has no process of it, says nothing. Also of a row that was never scaled: its database may have been restored. */
export const hasOtherVcpus = (flavor: FlavorSnapshot, { vcpus }: Pick<GuestReport, 'vcpus'>): boolean =>
  vcpus !== 0 && maxVcpusOf(flavor) !== null && vcpus !== vcpusOf(flavor);
