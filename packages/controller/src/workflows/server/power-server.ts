import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import type { HostMessage } from '@godwit/domain/custody/host-effect';
import { as, type Epoch, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState, type TaskState, type VmState } from '@godwit/domain/server';
import { agentFailure } from '../../agents/agent-error.ts';
import type { PowerOperation } from '../accept/power-action.ts';
import { readCustody, stepCustody, takeCharge } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { serverFault } from './fault.ts';
import { readServer, writeServer } from './server-record.ts';
import { startGuest } from './start-guest.ts';

const taskStates: readonly TaskState[] = ['powering-on', 'powering-off', 'pausing', 'unpausing', 'rebooting', 'rebooting_hard'];
const eventNames: Readonly<Record<PowerOperation, string>> = {
  start: 'compute_start_instance',
  stop: 'compute_stop_instance',
  pause: 'compute_pause_instance',
  unpause: 'compute_unpause_instance',
  'reboot-soft': 'compute_reboot_instance',
  'reboot-hard': 'compute_reboot_instance',
};
/** How long a guest may take to shut itself down before it is powered off. */
const SHUTDOWN_TIMEOUT_MS = 15_000;
const RPC_TIMEOUT_MS = SHUTDOWN_TIMEOUT_MS + 30_000;
const PATIENCE_MS = 60_000;
const RETRY_MS = 500;

/**
 * Starts, stops, pauses, unpauses or reboots a guest on the host where it is. Ends with task_state null and the server in the state that was *observed*; the action says whether
 * what was asked for was done. A host that does not answer for a minute ends the action in error; what it did is learnt when it returns.
 */
export async function powerServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const { operation, actionId } = run.input as unknown as { readonly operation: PowerOperation; readonly actionId: number };
  if (!(await takeCharge(db, serverId, run.fence, taskStates))) return;
  const server = await readServer(db, serverId);
  if (server.host_id === null) throw new Error(`server ${serverId} has no host`);
  const hostId = as<HostId>(server.host_id);
  await beginEvent(db, actionId, eventNames[operation], hostId);

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

  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    checkpoint(run);
    const { holder } = await readCustody(db, serverId);
    if (operation === 'start' || (operation === 'reboot-hard' && holder.kind === 'nowhere')) {
      const outcome = await startGuest(context, run, serverId, hostId, { deleteDisksOnFailure: false, patienceMs: PATIENCE_MS });
      if (outcome.kind === 'running') await finish({ vmState: 'active', power: powerState.running }, null);
      else await finish(unchanged, outcome.why);
      return;
    }
    if (holder.kind === 'nowhere') {
      await finish({ vmState: 'stopped', power: powerState.shutdown }, operation === 'stop' ? null : 'the guest does not run');
      return;
    }
    try {
      const report = await order(context, run, serverId, holder.hostId, holder.epoch, operation);
      await context.faultPoint('power:answered');
      const seen = observed(report);
      const wanted = operation === 'stop' ? 'stopped' : operation === 'pause' ? 'paused' : 'active';
      const error = seen.vmState === wanted ? null : `the guest is ${seen.vmState} now${report.detail === '' ? '' : `: ${report.detail}`}`;
      await finish(
        seen,
        error,
        report.state === GuestState.SHUTOFF || report.state === GuestState.CRASHED ? [{ kind: 'ended', epoch: holder.epoch }] : [],
      );
      return;
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind === 'unreachable' && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await noteRefusal(context, run, serverId, holder.hostId, failure);
      await finish(unchanged, failure.message);
      return;
    }
  }
}

async function order(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  hostId: HostId,
  epoch: Epoch,
  operation: Exclude<PowerOperation, 'start'>,
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
    case 'reboot-soft':
      return client.rebootGuest({ custody, hard: false, requestId }, call);
    case 'reboot-hard':
      return client.rebootGuest({ custody, hard: true, requestId }, call);
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
    case GuestState.SHUTOFF:
      return { vmState: 'stopped', power: powerState.shutdown };
    case GuestState.CRASHED:
    case GuestState.IO_ERROR:
      return { vmState: 'error', power: powerState.crashed };
    default:
      return { vmState: 'active', power: powerState.running };
  }
}
