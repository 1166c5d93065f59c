import type { Custody } from '@godwit/contract/gen/custody_pb';
import type { Guest, GuestReport } from '@godwit/contract/gen/guest_pb';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { maxRamOf, maxVcpusOf, ramOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { agentFailure } from '../../agents/agent-error.ts';
import type { AgentClient } from '../../agents/agents.ts';
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
import { type ServerSize, writeSize } from './write-size.ts';

/** QEMU makes a vCPU in milliseconds, under TCG on a busy host in some hundreds; a guest is waited for twice 25 s at most to take or give back memory (agent: memory-device.ts). */
const RPC_TIMEOUT_MS = 60_000;
const LIST_TIMEOUT_MS = 10_000;
const RETRY_MS = 500;
const event = 'compute_scale_server';

type Outcome =
  | { readonly kind: 'done' }
  /** The guest has so many, or so much, and not what was asked for. */
  | { readonly kind: 'failed'; readonly has: number; readonly why: string }
  /** Its host does not say. */
  | { readonly kind: 'unknown'; readonly why: string };

/** One thing that a server has, and how its host is ordered to change it. */
type Part = {
  readonly name: keyof ServerSize;
  readonly to: number;
  readonly from: number;
  readonly order: (
    client: AgentClient,
    request: { readonly custody: Custody; readonly guest: Guest; readonly requestId: string },
    call: Call,
  ) => Promise<unknown>;
  readonly amount: (has: number) => string;
  readonly unsaid: string;
  readonly suspended: string;
};
type Call = { readonly timeoutMs: number; readonly signal: AbortSignal };

/** vCPUs first: they come or not at once. */
const partsOf = ({ from, to: { vcpus, ramMib } }: ScaleInput): readonly Part[] => [
  ...(vcpus === undefined
    ? []
    : [
        {
          name: 'vcpus',
          to: vcpus,
          from: from.vcpus,
          order: (client, request, call) => client.scaleGuest(request, call),
          amount: (has) => `${has} vCPUs`,
          unsaid: 'how many vCPUs the guest has',
          suspended: 'the guest is suspended: its saved memory knows the vCPUs that it had',
        } satisfies Part,
      ]),
  ...(ramMib === undefined
    ? []
    : [
        {
          name: 'ramMib',
          to: ramMib,
          from: from.ramMib,
          order: (client, { custody, requestId }, call) => client.scaleMemory({ custody, ramMib: BigInt(ramMib), requestId }, call),
          amount: (has) => `${has} MiB of memory`,
          unsaid: 'how much memory the guest has',
          suspended: 'the guest is suspended: it has the memory that was saved',
        } satisfies Part,
      ]),
];

/**
 * Lets the guest have the vCPUs that its row names, and the memory that was asked for: scaling → null. A server that runs nowhere has its row alone. Ends with guest, row and ledger at what was asked for; or row and ledger at what
 * its guest has, and the action in error. A host that does not answer for a minute leaves both at the larger of what it had and what was asked for, which its guest has at most: what it has is written when it is heard of
 * (facts/note-facts.ts). A move is refused while vCPUs of guest and row differ; a suspension gives the guest those of the row first. Memory goes with its guest, as much as it is.
 */
export async function scaleServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const input = run.input as unknown as ScaleInput;
  const { actionId } = input;
  if (!(await beginTask(db, run, serverId, { taskState: 'scaling', actionId, event, before: 'it was scaled' }))) return;
  const ended: { readonly part: Part; readonly outcome: Outcome }[] = [];
  for (const part of partsOf(input)) {
    const before = ended.find(({ outcome }) => outcome.kind !== 'done');
    const outcome: Outcome =
      before === undefined
        ? await atTheHost(context, run, serverId, part)
        : { kind: 'failed', has: part.from, why: 'nothing more was asked of its host' };
    ended.push({ part, outcome });
  }
  const written = Object.fromEntries(
    ended.flatMap(({ part, outcome }) =>
      outcome.kind === 'unknown' ? [] : [[part.name, outcome.kind === 'done' ? part.to : outcome.has]],
    ),
  ) as ServerSize;
  const problems = ended.flatMap(({ part, outcome }) => (outcome.kind === 'done' ? [] : [toldOf(part, outcome)]));
  await db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, { task_state: null });
    await writeSize(tx, await readServer(tx, serverId), written);
    await finishEvent(tx, actionId, event, problems.length === 0 ? { ok: true } : { ok: false, details: problems.join('; ') });
  });
}

const toldOf = ({ amount, unsaid }: Part, outcome: Exclude<Outcome, { readonly kind: 'done' }>): string =>
  outcome.kind === 'failed'
    ? `${outcome.why}; the guest has ${amount(outcome.has)}`
    : `${outcome.why}; it is not known ${unsaid}: the most that it can be is kept for it until its host tells`;

async function atTheHost(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, part: Part): Promise<Outcome> {
  const deadline = Date.now() + context.interfacePatienceMs;
  for (;;) {
    checkpoint(run);
    const { holder } = await readCustody(context.db, serverId);
    if (holder.kind === 'nowhere') return { kind: 'done' };
    if (holder.kind === 'suspended') return { kind: 'failed', has: part.from, why: part.suspended };
    const guest = await wireGuest(context.db, serverId);
    try {
      const client = await context.agents.client(holder.hostId);
      const custody = wireCustody(serverId, holder.epoch, run.fence);
      await part.order(client, { custody, guest, requestId: run.id }, { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal });
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
      if (failure.code === 'NotImplemented') return { kind: 'failed', has: part.from, why: failure.message };
      // Some of it may have been done before the rest could not be.
      const has = await sizeAt(context, run, serverId, holder.hostId, part.name);
      return has === null ? { kind: 'unknown', why: failure.message } : { kind: 'failed', has, why: failure.message };
    }
  }
}

/** What its host says that the guest has; null: it does not say. */
async function sizeAt(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  hostId: HostId,
  name: keyof ServerSize,
): Promise<number | null> {
  try {
    const client = await context.agents.client(hostId);
    const { guests } = await client.listGuests({}, { timeoutMs: LIST_TIMEOUT_MS, signal: run.signal });
    return Number(guests.find((one) => one.serverId === serverId)?.[name] ?? 0) || null;
  } catch (error) {
    checkpoint(run);
    agentFailure(error);
    return null;
  }
}

/**
 * What a host says of a guest's size that is not as its row has it; null: nothing. One that does not tell, or has no process of it, says nothing. Also of a row that was never scaled: its database may have been restored.
 */
export function otherSize(flavor: FlavorSnapshot, { vcpus, ramMib }: Pick<GuestReport, 'vcpus' | 'ramMib'>): ServerSize | null {
  const otherVcpus = vcpus !== 0 && maxVcpusOf(flavor) !== null && vcpus !== vcpusOf(flavor);
  const otherRam = ramMib !== 0n && maxRamOf(flavor) !== null && Number(ramMib) !== ramOf(flavor);
  return otherVcpus || otherRam ? { ...(otherVcpus && { vcpus }), ...(otherRam && { ramMib: Number(ramMib) }) } : null;
}
