import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import type { HostMessage } from '@godwit/domain/custody/host-effect';
import { as, type Epoch, type HostId, type ServerId } from '@godwit/domain/ids';
import { vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { powerState, type VmState } from '@godwit/domain/server';
import { type AgentFailure, agentFailure } from '../../agents/agent-error.ts';
import { type PowerOperation, taskStateOf } from '../accept/power-action.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { copyEpoch } from '../custody/guest-report.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { beginTask } from './begin-task.ts';
import { comeToRest } from './come-to-rest.ts';
import { serverFault } from './fault.ts';
import { readServer, writeServer } from './server-record.ts';
import { startGuest } from './start-guest.ts';

const eventNames: Readonly<Record<PowerOperation, string>> = {
  start: 'compute_start_instance',
  stop: 'compute_stop_instance',
  pause: 'compute_pause_instance',
  unpause: 'compute_unpause_instance',
  suspend: 'compute_suspend_instance',
  resume: 'compute_resume_instance',
  'reboot-soft': 'compute_reboot_instance',
  'reboot-hard': 'compute_reboot_instance',
};
/** How long a guest may take to shut itself down before it is powered off. */
const SHUTDOWN_TIMEOUT_MS = 15_000;
const RPC_TIMEOUT_MS = SHUTDOWN_TIMEOUT_MS + 30_000;
/** Longer than an agent takes at most to save a memory, or to give that up. */
const SUSPEND_TIMEOUT_MS = 660_000;
const PATIENCE_MS = 60_000;
const LIST_TIMEOUT_MS = 10_000;
const RETRY_MS = 500;
const endsIn: Readonly<Record<Exclude<PowerOperation, 'start' | 'resume'>, VmState>> = {
  stop: 'stopped',
  pause: 'paused',
  unpause: 'active',
  suspend: 'suspended',
  'reboot-soft': 'active',
  'reboot-hard': 'active',
};
const stopped = { vmState: 'stopped', power: powerState.shutdown } as const;

/**
 * Starts, stops, pauses, unpauses, suspends, resumes or reboots a guest on the host where it is. Ends with task_state null and the server in the state that was *observed*; the action says whether
 * what was asked for was done. A host that does not answer for a minute ends the action in error; what it did is learnt when it returns.
 */
export async function powerServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const { operation, actionId } = run.input as unknown as { readonly operation: PowerOperation; readonly actionId: number };
  const task = { taskState: taskStateOf(operation), actionId, event: eventNames[operation], before: 'this was over' };
  if (!(await beginTask(db, run, serverId, task))) return;
  const server = await readServer(db, serverId);
  if (server.host_id === null) throw new Error(`server ${serverId} has no host`);
  const hostId = as<HostId>(server.host_id);

  const finish = async (
    values: { readonly vmState: VmState; readonly power: (typeof powerState)[keyof typeof powerState] },
    error: string | null,
    messages: readonly HostMessage[] = [],
  ): Promise<void> => {
    await db.transaction().execute(async (tx) => {
      if (messages.length > 0)
        await stepCustody(
          tx,
          serverId,
          run.fence,
          messages.map((message) => ({ kind: 'heard', from: hostId, message }) as const),
        );
      await writeServer(tx, run, serverId, {
        vm_state: values.vmState,
        power_state: values.power,
        task_state: null,
        ...(values.vmState === 'error' ? { fault: serverFault(error ?? 'The guest has crashed.') } : { fault: null }),
      });
      await finishEvent(tx, actionId, eventNames[operation], error === null ? { ok: true } : { ok: false, details: error });
    });
  };
  const unchanged = { vmState: server.vm_state, power: server.power_state } as const;
  /** As it was, but for a memory that is there no more. */
  const left = async (): Promise<typeof unchanged | typeof stopped> => {
    const row = await readCustody(db, serverId);
    return server.vm_state === 'suspended' && row.holder.kind === 'nowhere' && row.operation === null ? stopped : unchanged;
  };

  const waits = new Waits();
  for (;;) {
    checkpoint(run);
    const { holder } = await readCustody(db, serverId);
    if (operation === 'resume') {
      const outcome = await startGuest(context, run, serverId, hostId, {
        deleteDisksOnFailure: false,
        patienceMs: PATIENCE_MS,
        resumes: true,
      });
      await context.faultPoint('power:answered');
      if (outcome.kind === 'running') return finish({ vmState: 'active', power: powerState.running }, null);
      if (outcome.kind === 'failed' && outcome.code === 'GuestCrashed')
        return finish({ vmState: 'error', power: powerState.shutdown }, outcome.why);
      return finish(await left(), outcome.why);
    }
    if (operation === 'reboot-hard' && holder.kind === 'suspended') {
      // From its disk: the memory that knows nothing of what the guest will write there is destroyed first.
      const unrest = await comeToRest(context, run, serverId, PATIENCE_MS, 0);
      if (unrest === null) continue;
      return finish(await left(), unrest);
    }
    if (operation === 'start' || (operation === 'reboot-hard' && holder.kind === 'nowhere')) {
      const outcome = await startGuest(context, run, serverId, hostId, { deleteDisksOnFailure: false, patienceMs: PATIENCE_MS });
      if (outcome.kind === 'running') await finish({ vmState: 'active', power: powerState.running }, null);
      else await finish(await left(), outcome.why);
      return;
    }
    if (holder.kind === 'nowhere') {
      await finish(stopped, operation === 'stop' ? null : 'the guest does not run');
      return;
    }
    if (holder.kind === 'suspended')
      return finish({ vmState: 'suspended', power: powerState.suspended }, operation === 'suspend' ? null : 'the guest is suspended');
    try {
      const report = await order(context, run, serverId, holder.hostId, holder.epoch, operation);
      await context.faultPoint('power:answered');
      const seen = observed(report);
      const wanted = endsIn[operation];
      const error = seen.vmState === wanted ? null : `the guest is ${seen.vmState} now${report.detail === '' ? '' : `: ${report.detail}`}`;
      await finish(seen, error, news(report, holder.epoch));
      return;
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (waits.goOn(operation, failure)) {
        await run.pause(RETRY_MS);
        continue;
      }
      // It was accepted while a suspension was under way, which only its host can tell the end of.
      if (operation === 'reboot-hard' && failure.kind === 'refused' && (await noteSuspended(context, run, serverId, holder.hostId)))
        continue;
      await noteRefusal(context, run, serverId, holder.hostId, failure);
      await finish(unchanged, failure.message);
      return;
    }
  }
}

/** How long one run asks again: each patience begins with the first answer that calls for it, since a call may have gone well for minutes before. */
class Waits {
  readonly #until = new Map<'silent' | 'busy', number>();

  goOn(operation: PowerOperation, { kind, code }: AgentFailure): boolean {
    if (kind === 'unreachable') return this.#within('silent', PATIENCE_MS);
    // In conflict with a call that the agent carries out still: that of an earlier run, or of what this was accepted over.
    if (code !== 'Conflict' && code !== 'custody-suspending') return false;
    return this.#within('busy', operation === 'reboot-hard' ? SUSPEND_TIMEOUT_MS : PATIENCE_MS);
  }

  #within(what: 'silent' | 'busy', patienceMs: number): boolean {
    const until = this.#until.get(what) ?? Date.now() + patienceMs;
    this.#until.set(what, until);
    return Date.now() < until;
  }
}

async function order(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  hostId: HostId,
  epoch: Epoch,
  operation: Exclude<PowerOperation, 'start' | 'resume'>,
): Promise<GuestReport> {
  const client = await context.agents.client(hostId);
  const custody = wireCustody(serverId, epoch, run.fence);
  const call = { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal };
  const requestId = run.id;
  switch (operation) {
    case 'stop':
      return client.stopGuest({ custody, timeoutMs: BigInt(SHUTDOWN_TIMEOUT_MS), requestId }, call);
    case 'pause':
      return client.pauseGuest({ custody, requestId }, call);
    case 'unpause':
      return client.unpauseGuest({ custody, requestId }, call);
    case 'suspend':
      // The memory is loaded into a machine of the row alone.
      return client.suspendGuest(
        { custody, requestId, vcpus: vcpusOf((await readServer(context.db, serverId)).flavor) },
        { ...call, timeoutMs: SUSPEND_TIMEOUT_MS },
      );
    case 'reboot-soft':
      return client.rebootGuest({ custody, hard: false, requestId }, call);
    case 'reboot-hard':
      return client.rebootGuest({ custody, hard: true, requestId }, call);
  }
}

/** What custody has to know of an order's answer. */
function news({ state }: GuestReport, epoch: Epoch): readonly HostMessage[] {
  if (state === GuestState.SUSPENDED) return [{ kind: 'suspended', epoch }];
  return state === GuestState.SHUTOFF || state === GuestState.CRASHED ? [{ kind: 'ended', epoch }] : [];
}

/** Writes what a host has suspended that holds the server by the row. False when it has not, or does not say. */
async function noteSuspended(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, from: HostId): Promise<boolean> {
  try {
    const client = await context.agents.client(from);
    const { guests } = await client.listGuests({}, { timeoutMs: LIST_TIMEOUT_MS, signal: run.signal });
    const guest = guests.find((one) => one.serverId === serverId);
    if (guest?.state !== GuestState.SUSPENDED) return false;
    const message = { kind: 'suspended', epoch: copyEpoch(guest) } as const;
    const { row } = await context.db
      .transaction()
      .execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'heard', from, message }]));
    return row.holder.kind === 'suspended';
  } catch (error) {
    checkpoint(run);
    agentFailure(error);
    return false;
  }
}

/** What the compute API calls the state that an agent saw. */
export function observed(report: Pick<GuestReport, 'state'>): {
  readonly vmState: VmState;
  readonly power: (typeof powerState)[keyof typeof powerState];
} {
  switch (report.state) {
    case GuestState.PAUSED:
      return { vmState: 'paused', power: powerState.paused };
    case GuestState.SUSPENDED:
      return { vmState: 'suspended', power: powerState.suspended };
    case GuestState.SHUTOFF:
      return { vmState: 'stopped', power: powerState.shutdown };
    case GuestState.CRASHED:
    case GuestState.IO_ERROR:
      return { vmState: 'error', power: powerState.crashed };
    default:
      return { vmState: 'active', power: powerState.running };
  }
}
